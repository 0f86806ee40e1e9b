//! What is said of the fields of a collection that is created.

use std::str::FromStr;

use clap::Args;
use vecstore::CollectionOptions;

/// Settings of metadata fields.
#[derive(Debug, Default, Args)]
pub(crate) struct SchemaArgs {
    /// What a metadata field is: `off` (not indexed, with all beneath it), `date` (its strings are
    /// dates, so filters need no DATE before what they compare it with), or `date,off`; can be
    /// repeated
    #[arg(long = "field", value_name = "NAME=off|date")]
    fields: Vec<FieldSetting>,
    /// Fields that a segment indexes [default: 1000]
    #[arg(long, value_name = "N")]
    fields_max: Option<usize>,
    /// Distinct strings of a field that a segment indexes [default: 65536]
    #[arg(long, value_name = "N")]
    strings_max: Option<usize>,
    /// Bytes of the longest string that is indexed [default: 128]
    #[arg(long, value_name = "N")]
    string_bytes_max: Option<usize>,
}

/// `NAME=off`, `NAME=date` or both.
#[derive(Clone, Debug, PartialEq)]
struct FieldSetting {
    name: String,
    off: bool,
    date: bool,
}

impl FromStr for FieldSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, words) =
            text.rsplit_once('=').ok_or("write NAME=off, NAME=date or NAME=date,off")?;
        let mut setting = FieldSetting { name: name.to_owned(), off: false, date: false };
        for word in words.split(',') {
            let said = match word {
                "off" => &mut setting.off,
                "date" => &mut setting.date,
                _ => return Err(format!("`{word}` is neither `off` nor `date`")),
            };
            if std::mem::replace(said, true) {
                return Err(format!("`{word}` is said twice"));
            }
        }
        Ok(setting)
    }
}

impl SchemaArgs {
    /// Whether anything is said.
    pub(super) fn is_empty(&self) -> bool {
        let limits = [self.fields_max, self.strings_max, self.string_bytes_max];
        self.fields.is_empty() && limits.iter().all(Option::is_none)
    }

    /// The options with what is said.
    pub(super) fn apply(&self, mut options: CollectionOptions) -> CollectionOptions {
        for FieldSetting { name, off, date } in &self.fields {
            if *off {
                options = options.unindexed(name);
            }
            if *date {
                options = options.date(name);
            }
        }
        if let Some(most) = self.fields_max {
            options = options.fields_max(most);
        }
        if let Some(most) = self.strings_max {
            options = options.strings_max(most);
        }
        if let Some(most) = self.string_bytes_max {
            options = options.string_bytes_max(most);
        }
        options
    }

    /// Whether a collection is as it is said to be; what is not said may be any way.
    pub(super) fn describes(&self, settings: &CollectionOptions) -> bool {
        let same = self.apply(settings.clone()) == *settings;
        // A field that is only said to be one of the two must not be the other one too.
        let exactly = |setting: &FieldSetting| {
            settings.unindexed_fields().any(|name| name == setting.name) == setting.off
                && settings.date_fields().any(|name| name == setting.name) == setting.date
        };
        same && self.fields.iter().all(exactly)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read() {
        let read = |text: &str| text.parse::<FieldSetting>();
        let setting = |name: &str, off, date| Ok(FieldSetting { name: name.to_owned(), off, date });
        assert_eq!(read("a.b=off"), setting("a.b", true, false));
        assert_eq!(read("a=date"), setting("a", false, true));
        assert_eq!(read("a=b=date,off"), setting("a=b", true, true));
        for wrong in ["a", "a=", "a=on", "a=off,off", "a=off,", "a= off"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
