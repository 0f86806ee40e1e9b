//! The words and signs of a filter text, one at a time.
//!
//! The text is cut up lazily, so that the first problem in it is the one that is reported.

use winnow::ascii::digit1;
use winnow::combinator::{alt, delimited, opt, repeat};
use winnow::error::EmptyError;
use winnow::prelude::*;
use winnow::stream::{LocatingSlice, Location};
use winnow::token::{any, one_of, take_till, take_while};

use super::error::shown;
use super::{FilterError, FilterErrorKind, Value};

/// A text that knows how far it has been read.
pub(super) type Input<'t> = LocatingSlice<&'t str>;

/// One word or sign.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'t> {
    /// A name or a word of the language, unquoted.
    Word(&'t str),
    /// A name in double quotes.
    Name(String),
    /// A string in single quotes.
    Text(String),
    /// An integer or a float.
    Number(Value),
    /// `$name`.
    Parameter(&'t str),
    /// A run of `= < > ! ~ & |`, whether it is an operator or not.
    Symbol(&'t str),
    /// One of `( ) [ ] , .`
    Punctuation(char),
    /// The end of the text.
    End,
}

/// A token and where it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spanned<'t> {
    pub(super) token: Token<'t>,
    /// Byte offset of its first byte.
    pub(super) start: usize,
    /// As written.
    pub(super) text: &'t str,
}

/// Takes the next token off the front of `input`.
pub(super) fn next_token<'t>(input: &mut Input<'t>) -> Result<Spanned<'t>, FilterError> {
    take_over(input, take_while(0.., char::is_whitespace));
    let start = input.current_token_start();
    let from_here: &'t str = input.as_ref();
    let token = token(input, start)?;
    let text = &from_here[..input.current_token_start() - start];
    Ok(Spanned { token, start, text })
}

fn token<'t>(input: &mut Input<'t>, start: usize) -> Result<Token<'t>, FilterError> {
    let text: &'t str = input.as_ref();
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return Ok(Token::End) };
    let second = chars.next();
    let digit_follows = second.is_some_and(|c| c.is_ascii_digit());
    match first {
        '\'' => match quoted('\'', "'").parse_next(input) {
            Ok(text) => Ok(Token::Text(text)),
            Err(EmptyError) => Err(error(start, "the string that starts here has no closing `'`")),
        },
        '"' => match quoted('"', "\"").parse_next(input) {
            Ok(name) => Ok(Token::Name(name)),
            Err(EmptyError) => Err(error(start, "the name that starts here has no closing `\"`")),
        },
        '0'..='9' => number(input, start),
        '-' if digit_follows => number(input, start),
        '.' if digit_follows => Err(error(start, "a number needs a digit before its point")),
        '$' => {
            let name = (any, take_while(1.., is_name_char)).map(|(_, name)| name);
            match take(input, name) {
                Some(name) => Ok(Token::Parameter(name)),
                None => Err(error(start, "`$` stands before the name of a parameter")),
            }
        }
        '=' | '<' | '>' | '!' | '~' | '&' | '|' => {
            let symbol = take_while(1.., ['=', '<', '>', '!', '~', '&', '|']);
            Ok(Token::Symbol(take_over(input, symbol)))
        }
        '(' | ')' | '[' | ']' | ',' | '.' => {
            take_over(input, any.take());
            Ok(Token::Punctuation(first))
        }
        c if c.is_alphabetic() || c == '_' => {
            Ok(Token::Word(take_over(input, take_while(1.., is_name_char))))
        }
        c => Err(error(start, stray(c))),
    }
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// What the parser takes, if it takes something.
fn take<'t, O>(
    input: &mut Input<'t>,
    mut parser: impl Parser<Input<'t>, O, EmptyError>,
) -> Option<O> {
    opt(parser.by_ref()).parse_next(input).unwrap_or(None)
}

/// What the parser takes, or nothing.
fn take_over<'t>(
    input: &mut Input<'t>,
    parser: impl Parser<Input<'t>, &'t str, EmptyError>,
) -> &'t str {
    take(input, parser).unwrap_or("")
}

/// Text between quotes, in which the quote itself is doubled.
fn quoted<'t>(quote: char, once: &'static str) -> impl Parser<Input<'t>, String, EmptyError> {
    let part = alt((take_till(1.., quote), (quote, quote).value(once)));
    let parts = repeat(0.., part).fold(String::new, |mut text, part: &str| {
        text.push_str(part);
        text
    });
    delimited(quote, parts, quote)
}

fn number<'t>(input: &mut Input<'t>, start: usize) -> Result<Token<'t>, FilterError> {
    let whole: &'t str = input.as_ref();
    let fraction = ('.', digit1).void();
    let exponent = (one_of(['e', 'E']), opt(one_of(['+', '-'])), digit1).void();
    let parts = (opt('-'), digit1, opt(fraction), opt(exponent));
    let is_float = take(input, parts).is_some_and(|(_, _, f, e)| f.is_some() || e.is_some());
    let digits = &whole[..input.current_token_start() - start];

    let tail = take_over(input, take_while(0.., |c| is_name_char(c) || c == '.'));
    if !tail.is_empty() {
        return Err(error(
            start,
            format!("`{}` is not a number", shown(&format!("{digits}{tail}"))),
        ));
    }
    if is_float {
        match digits.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Token::Number(Value::Float(value))),
            _ => Err(error(
                start,
                format!("{} is out of the range of a 64-bit float", shown(digits)),
            )),
        }
    } else {
        match digits.parse::<i64>() {
            Ok(value) => Ok(Token::Number(Value::Int(value))),
            Err(_) => Err(error(
                start,
                format!("{} is out of the range of a 64-bit integer", shown(digits)),
            )),
        }
    }
}

/// What to say of a character that begins nothing.
fn stray(c: char) -> String {
    let advice = match c {
        '-' => "; a name with `-` in it is written in double quotes",
        '+' => "; a number has no `+` before it, and there is no arithmetic",
        '*' | '/' | '%' => "; there is no arithmetic",
        '“' | '”' | '„' | '‘' | '’' | '`' => {
            "; strings are written in 'single quotes', names in \"double quotes\""
        }
        ';' | '{' | '}' | ':' => "; a filter is one condition",
        _ => "",
    };
    format!("`{}` does not belong in a filter{advice}", c.escape_debug())
}

fn error(position: usize, problem: impl Into<String>) -> FilterError {
    FilterError { kind: FilterErrorKind::Syntax, position, problem: problem.into() }
}
