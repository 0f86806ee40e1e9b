//! From text to filter: recursive descent over tokens, with a limit on how deep.

use std::collections::{BTreeMap, BTreeSet};

use vecstore_segments::{FILTER_WORDS, FieldPath};

use super::error::shown;
use super::rules::{check_between, check_comparison, check_pattern, date, literal, sort};
use super::tokens::{Input, Spanned, Token, next_token};
use super::{Comparison, Filter, FilterError, FilterErrorKind, Value, suggest};

/// Bytes of the longest filter text.
pub const FILTER_BYTES_MAX: usize = 64 * 1024;

/// Levels of parentheses and `NOT` in a filter text. Bounds the recursion of whatever walks a
/// filter.
pub const FILTER_DEPTH_MAX: usize = 64;

/// Bound parameters, by name without the `$`. An array is a list for `IN`.
pub type Params = BTreeMap<String, serde_json::Value>;

const OPERATORS: &str = "an operator (=, !=, <, <=, >, >=, IN, NOT IN, BETWEEN, CONTAINS, \
                         STARTSWITH, LIKE, EXISTS, IS NULL)";

impl Filter {
    /// Parses a filter text; `$name` takes its value from `params`. Parameters that the text does
    /// not name are an error.
    pub fn parse(text: &str, params: &Params) -> Result<Filter, FilterError> {
        if text.len() > FILTER_BYTES_MAX {
            return Err(FilterError {
                kind: FilterErrorKind::TooLong,
                position: text.floor_char_boundary(FILTER_BYTES_MAX),
                problem: format!(
                    "the text has {} bytes, at most {FILTER_BYTES_MAX} are read; long lists can be \
                     parameters",
                    text.len()
                ),
            });
        }
        let mut rest = Input::new(text);
        let next = next_token(&mut rest)?;
        let mut parser = Parser { rest, next, depth: 0, params, used: BTreeSet::new() };
        let filter = parser.filter()?;
        parser.end()?;
        Ok(filter)
    }
}

struct Parser<'t, 'p> {
    rest: Input<'t>,
    /// The token that is looked at and not taken yet.
    next: Spanned<'t>,
    depth: usize,
    params: &'p Params,
    used: BTreeSet<&'p str>,
}

/// Position and rest of a value's problem.
struct Found<T> {
    value: T,
    start: usize,
    kind: FilterErrorKind,
}

impl<T> Found<T> {
    /// The rule's complaint, at the value that breaks it.
    fn check(&self, outcome: Result<(), String>) -> Result<(), FilterError> {
        outcome.map_err(|problem| FilterError { kind: self.kind, position: self.start, problem })
    }
}

impl<'t, 'p> Parser<'t, 'p> {
    fn advance(&mut self) -> Result<Spanned<'t>, FilterError> {
        let next = next_token(&mut self.rest)?;
        Ok(std::mem::replace(&mut self.next, next))
    }

    fn at_word(&self, word: &str) -> bool {
        matches!(self.next.token, Token::Word(found) if found.eq_ignore_ascii_case(word))
    }

    fn at(&self, punctuation: char) -> bool {
        self.next.token == Token::Punctuation(punctuation)
    }

    /// Takes the word if it is next.
    fn take_word(&mut self, word: &str) -> Result<bool, FilterError> {
        let is_next = self.at_word(word);
        if is_next {
            self.advance()?;
        }
        Ok(is_next)
    }

    fn take(&mut self, punctuation: char) -> Result<bool, FilterError> {
        let is_next = self.at(punctuation);
        if is_next {
            self.advance()?;
        }
        Ok(is_next)
    }

    /// An error at the next token.
    fn wrong<T>(&self, problem: impl Into<String>) -> Result<T, FilterError> {
        let kind = FilterErrorKind::Syntax;
        Err(FilterError { kind, position: self.next.start, problem: problem.into() })
    }

    /// `found X, expected Y`, and some advice.
    fn unexpected<T>(&self, expected: &str, advice: &str) -> Result<T, FilterError> {
        self.wrong(format!("found {}, expected {expected}{advice}", self.found()))
    }

    /// The next token, as an error calls it.
    fn found(&self) -> String {
        let text = self.next.text;
        if self.next.token == Token::End {
            return "the end".to_string();
        }
        format!("`{}`", shown(text))
    }

    fn filter(&mut self) -> Result<Filter, FilterError> {
        self.joined("OR", Filter::Or, &|parser| {
            parser.joined("AND", Filter::And, &|parser| parser.factor())
        })
    }

    /// One part, or several with `word` between them.
    fn joined(
        &mut self,
        word: &str,
        join: fn(Vec<Filter>) -> Filter,
        part: &dyn Fn(&mut Self) -> Result<Filter, FilterError>,
    ) -> Result<Filter, FilterError> {
        let first = part(self)?;
        if !self.at_word(word) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.take_word(word)? {
            parts.push(part(self)?);
        }
        Ok(join(parts))
    }

    fn factor(&mut self) -> Result<Filter, FilterError> {
        if self.at_word("NOT") {
            self.deeper()?;
            self.advance()?;
            let part = self.factor()?;
            self.depth -= 1;
            return Ok(Filter::Not(Box::new(part)));
        }
        if self.at('(') {
            self.deeper()?;
            let open = self.advance()?;
            let part = self.filter()?;
            if !self.at(')') {
                let expected = format!("AND, OR or `)` for the `(` at {}", open.start);
                return self.unexpected(&expected, &self.connective_advice());
            }
            self.advance()?;
            self.depth -= 1;
            return Ok(part);
        }
        if self.take_word("EXISTS")? {
            let in_parentheses = self.take('(')?;
            let path = self.path()?;
            if in_parentheses && !self.take(')')? {
                return self.unexpected("`)`", "");
            }
            return Ok(Filter::Exists(path));
        }
        let path = self.path()?;
        self.test(path)
    }

    /// Goes one level down, before the token that does so is taken.
    fn deeper(&mut self) -> Result<(), FilterError> {
        if self.depth == FILTER_DEPTH_MAX {
            return Err(FilterError {
                kind: FilterErrorKind::TooDeep,
                position: self.next.start,
                problem: format!("more than {FILTER_DEPTH_MAX} levels of parentheses and NOT"),
            });
        }
        self.depth += 1;
        Ok(())
    }

    fn path(&mut self) -> Result<FieldPath, FilterError> {
        let mut names = vec![self.first_name()?];
        while self.take('.')? {
            names.push(match self.advance_name()? {
                Some(name) => name,
                None => {
                    let advice = match self.next.token {
                        Token::Number(_) => {
                            "; arrays need no index, a path goes on in each element"
                        }
                        _ => "",
                    };
                    return self.unexpected("a name after the `.`", advice);
                }
            });
        }
        Ok(FieldPath::new(names))
    }

    /// The first name of a path, which must not be a word of the language.
    fn first_name(&mut self) -> Result<String, FilterError> {
        let advice = match &self.next.token {
            Token::Word(word) => match FILTER_WORDS.iter().find(|w| w.eq_ignore_ascii_case(word)) {
                Some(_) => format!("; a field of that name is written \"{word}\""),
                None => String::new(),
            },
            Token::Text(text) if text.len() < 40 && !text.contains('"') => {
                format!("; a field is written without quotes or in double quotes: \"{text}\"")
            }
            Token::Number(_) | Token::Text(_) | Token::Parameter(_) => {
                "; the field comes first: field = value".to_string()
            }
            Token::Symbol("!") => "; did you mean `NOT`?".to_string(),
            Token::Punctuation(')') => "; there is nothing between the parentheses".to_string(),
            _ => String::new(),
        };
        let is_name = matches!(self.next.token, Token::Word(_) | Token::Name(_));
        if is_name
            && advice.is_empty()
            && let Some(name) = self.advance_name()?
        {
            return Ok(name);
        }
        self.unexpected("a field, NOT, EXISTS or `(`", &advice)
    }

    fn advance_name(&mut self) -> Result<Option<String>, FilterError> {
        match &self.next.token {
            Token::Word(_) | Token::Name(_) => Ok(match self.advance()?.token {
                Token::Word(name) => Some(name.to_string()),
                Token::Name(name) => Some(name),
                _ => None,
            }),
            _ => Ok(None),
        }
    }

    /// What is asked of a path.
    fn test(&mut self, path: FieldPath) -> Result<Filter, FilterError> {
        if let Token::Symbol(symbol) = self.next.token {
            let comparison = match symbol {
                "==" => Some(Comparison::Equal),
                "<>" => Some(Comparison::NotEqual),
                _ => Comparison::ALL.into_iter().find(|c| c.symbol() == symbol),
            };
            let Some(comparison) = comparison else { return self.no_operator() };
            let operator = self.advance()?;
            let value = self.value(&operator)?;
            value.check(check_comparison(comparison, &value.value))?;
            return Ok(Filter::Compare(path, comparison, value.value));
        }
        if self.take_word("IS")? {
            let not = self.take_word("NOT")?;
            if !self.take_word("NULL")? {
                let advice = if not || matches!(self.next.token, Token::End) {
                    ""
                } else {
                    "; a value is compared with `=`"
                };
                return self.unexpected(if not { "NULL" } else { "NULL or NOT NULL" }, advice);
            }
            let null = Filter::IsNull(path);
            return Ok(if not { Filter::Not(Box::new(null)) } else { null });
        }
        if self.take_word("EXISTS")? {
            return Ok(Filter::Exists(path));
        }
        let not = self.take_word("NOT")?;
        let test = if self.at_word("IN") {
            self.advance()?;
            Filter::In(path, self.list()?)
        } else if self.at_word("BETWEEN") {
            let operator = self.advance()?;
            let low = self.value(&operator)?;
            if !self.take_word("AND")? {
                return self.unexpected("AND and the upper end of BETWEEN", "");
            }
            let high = self.value(&operator)?;
            high.check(check_between(&low.value, &high.value))?;
            Filter::Between(path, low.value, high.value)
        } else if self.at_word("CONTAINS") {
            let operator = self.advance()?;
            Filter::Contains(path, self.value(&operator)?.value)
        } else if self.at_word("STARTSWITH") {
            Filter::StartsWith(path, self.text("STARTSWITH")?.value)
        } else if self.at_word("LIKE") {
            let pattern = self.text("LIKE")?;
            pattern.check(check_pattern(&pattern.value))?;
            Filter::Like(path, pattern.value)
        } else if not {
            let expected = "IN, BETWEEN, CONTAINS, STARTSWITH or LIKE after NOT";
            let advice = if self.at_word("EXISTS") {
                format!("; write NOT EXISTS {}", shown(&path.to_string()))
            } else {
                self.operator_advice()
            };
            return self.unexpected(expected, &advice);
        } else {
            return self.no_operator();
        };
        Ok(if not { Filter::Not(Box::new(test)) } else { test })
    }

    fn no_operator<T>(&self) -> Result<T, FilterError> {
        self.unexpected(OPERATORS, &self.operator_advice())
    }

    fn operator_advice(&self) -> String {
        match self.next.token {
            Token::Word(found) | Token::Symbol(found) => suggest::operator(found)
                .map_or_else(String::new, |meant| format!("; did you mean `{meant}`?")),
            _ => String::new(),
        }
    }

    fn connective_advice(&self) -> String {
        match self.next.token {
            Token::Word(found) | Token::Symbol(found) => suggest::connective(found)
                .map_or_else(String::new, |meant| format!("; did you mean `{meant}`?")),
            _ => String::new(),
        }
    }

    /// The literal after `operator`, which is only for the error.
    fn value(&mut self, operator: &Spanned<'_>) -> Result<Found<Value>, FilterError> {
        let start = self.next.start;
        if let Token::Parameter(name) = self.next.token {
            let kind = FilterErrorKind::Parameter;
            let value = literal(self.parameter(name)?).map_err(|problem| FilterError {
                kind,
                position: start,
                problem: format!("parameter `${}`: {problem}", shown(name)),
            })?;
            self.advance()?;
            return Ok(Found { value, start, kind });
        }
        let value = match &self.next.token {
            Token::Text(text) => Value::Str(text.clone()),
            Token::Number(number) => number.clone(),
            _ if self.at_word("null") => Value::Null,
            _ if self.at_word("true") => Value::Bool(true),
            _ if self.at_word("false") => Value::Bool(false),
            _ if self.at_word("date") => return self.date(),
            _ => return self.no_value(operator),
        };
        self.advance()?;
        Ok(Found { value, start, kind: FilterErrorKind::Syntax })
    }

    /// The word DATE, which is next, and the text or parameter after it.
    fn date(&mut self) -> Result<Found<Value>, FilterError> {
        self.advance()?;
        let start = self.next.start;
        let wrong = |kind, problem| FilterError { kind, position: start, problem };
        let (date, kind) = match self.next.token {
            Token::Text(ref text) => (date(text), FilterErrorKind::Syntax),
            Token::Parameter(name) => {
                let kind = FilterErrorKind::Parameter;
                let problem = |problem| format!("parameter `${}`: {problem}", shown(name));
                let date = match self.parameter(name)? {
                    serde_json::Value::String(text) => date(text),
                    _ => Err("DATE takes a string".to_string()),
                };
                (date.map_err(problem), kind)
            }
            _ => {
                let advice = "; such as DATE '2024-05-01T10:00:00Z'";
                return self.unexpected("a date in single quotes after DATE", advice);
            }
        };
        let value = date.map(Value::Date).map_err(|problem| wrong(kind, problem))?;
        self.advance()?;
        Ok(Found { value, start, kind })
    }

    /// What stands where a value should, and how a value is written.
    fn no_value<T>(&self, operator: &Spanned<'_>) -> Result<T, FilterError> {
        let advice = match &self.next.token {
            Token::Word(word) => {
                format!("; a string is written in single quotes: '{}'", shown(word))
            }
            Token::Name(name) if name.len() < 40 && !name.contains('\'') => {
                format!("; double quotes are for fields, use single quotes: '{name}'")
            }
            Token::Name(_) => "; double quotes are for fields, use single quotes".to_string(),
            Token::Symbol(symbol) => {
                let together = format!("{}{symbol}", operator.text);
                let known = |c: &Comparison| c.symbol() == together;
                let meant = Comparison::ALL.iter().find(|c| known(c)).map(|c| c.symbol());
                meant
                    .or_else(|| suggest::operator(&together))
                    .map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"))
            }
            Token::Punctuation('[' | '(') => "; lists are for IN".to_string(),
            _ => String::new(),
        };
        self.unexpected(&format!("a value after `{}`", operator.text), &advice)
    }

    /// The operator `word`, which is next, and the string after it.
    fn text(&mut self, word: &str) -> Result<Found<String>, FilterError> {
        let operator = self.advance()?;
        if self.at_word("WITH") {
            return self.unexpected("a string", "; STARTSWITH is one word");
        }
        let Found { value, start, kind } = self.value(&operator)?;
        match value {
            Value::Str(value) => Ok(Found { value, start, kind }),
            other => Err(FilterError {
                kind,
                position: start,
                problem: format!("{word} takes a string in single quotes, not {}", sort(&other)),
            }),
        }
    }

    /// `[a, b]`, `(a, b)` or a parameter that is a list.
    fn list(&mut self) -> Result<Vec<Value>, FilterError> {
        if let Token::Parameter(name) = self.next.token {
            return self.list_parameter(name);
        }
        let close = if self.at('[') {
            ']'
        } else if self.at('(') {
            ')'
        } else {
            return self.unexpected("a list after IN, such as ['a', 'b']", "");
        };
        let mut before = self.advance()?;
        let mut values = Vec::new();
        if self.take(close)? {
            return Ok(values);
        }
        loop {
            values.push(self.value(&before)?.value);
            if self.take(close)? {
                return Ok(values);
            }
            if !self.at(',') {
                return self.unexpected(&format!("`,` or `{close}` in the list"), "");
            }
            before = self.advance()?;
        }
    }

    fn list_parameter(&mut self, name: &str) -> Result<Vec<Value>, FilterError> {
        let wrong = |position, problem| FilterError {
            kind: FilterErrorKind::Parameter,
            position,
            problem: format!("parameter `${}`: {problem}", shown(name)),
        };
        let start = self.next.start;
        let serde_json::Value::Array(elements) = self.parameter(name)? else {
            return Err(wrong(start, "IN takes a list, and this is none".to_string()));
        };
        let values = elements
            .iter()
            .enumerate()
            .map(|(at, json)| {
                literal(json).map_err(|problem| wrong(start, format!("element {at}: {problem}")))
            })
            .collect::<Result<_, _>>()?;
        self.advance()?;
        Ok(values)
    }

    /// The value of the parameter that is next.
    fn parameter(&mut self, name: &str) -> Result<&'p serde_json::Value, FilterError> {
        let Some((name, value)) = self.params.get_key_value(name) else {
            return Err(FilterError {
                kind: FilterErrorKind::Parameter,
                position: self.next.start,
                problem: format!("parameter `${}` has no value", shown(name)),
            });
        };
        self.used.insert(name);
        Ok(value)
    }

    /// Nothing may follow, and no parameter may be left over.
    fn end(&self) -> Result<(), FilterError> {
        if self.at(')') {
            return self.wrong("found `)` without a `(` before it");
        }
        if self.next.token != Token::End {
            return self.unexpected("AND, OR or the end", &self.connective_advice());
        }
        match self.params.keys().find(|name| !self.used.contains(name.as_str())) {
            None => Ok(()),
            Some(name) => Err(FilterError {
                kind: FilterErrorKind::Parameter,
                position: self.next.start,
                problem: format!(
                    "parameter `${}` is given, but the text does not use it",
                    shown(name)
                ),
            }),
        }
    }
}
