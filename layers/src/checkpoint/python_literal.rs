//! Python literals, in which some released files carry their configuration: a strict parser and its inverse.
//!
//! Only data are read: `None`, `True`, `False`, numbers, strings, lists, tuples and dictionaries. Names, calls, operators
//! and everything else that a program would be made of is an error.

use serde_json::{Map, Number, Value};

/// Longest text that is read.
const MOST_BYTES: usize = 1 << 20;
/// Deepest nesting that is read.
const MOST_DEPTH: usize = 64;

/// Parses one Python literal. Tuples become lists, whole numbers beyond 64 bits are refused.
///
/// # Errors
/// A sentence with the place in the text.
pub fn parse_python_literal(text: &str) -> Result<Value, String> {
    if text.len() > MOST_BYTES {
        return Err(format!("it is longer than {MOST_BYTES} bytes, the most that are read"));
    }
    let mut parser = Parser { text, at: 0 };
    let value = parser.value(0)?;
    parser.space();
    if parser.at < text.len() { Err(parser.wrong("the end of the text")) } else { Ok(value) }
}

/// The literal of a value. Keys that `order` names come first and in its order, the rest sorted, since in some
/// dictionaries the order has a meaning.
pub fn write_python_literal(value: &Value, order: &[&str]) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| write_python_literal(item, order)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(entries) => {
            let place = |key: &String| order.iter().position(|name| name == key).unwrap_or(order.len());
            let mut keys: Vec<(&String, &Value)> = entries.iter().collect();
            keys.sort_by_key(|(key, _)| (place(key), (*key).clone()));
            let entries: Vec<String> = keys
                .into_iter()
                .map(|(key, value)| format!("{}: {}", quoted(key), write_python_literal(value, order)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("'");
    for character in text.chars() {
        match character {
            '\'' => quoted += "\\'",
            '\\' => quoted += "\\\\",
            '\n' => quoted += "\\n",
            '\r' => quoted += "\\r",
            '\t' => quoted += "\\t",
            c if c.is_control() => quoted += &format!("\\U{:08x}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted + "'"
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn wrong(&self, expected: &str) -> String {
        match self.peek() {
            Some(found) => format!("expected {expected} at byte {}, found {found:?}", self.at),
            None => format!("expected {expected}, but the text ends at byte {}", self.at),
        }
    }

    fn take(&mut self, token: &str) -> bool {
        let is_there = self.rest().starts_with(token);
        if is_there {
            self.at += token.len();
        }
        is_there
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > MOST_DEPTH {
            return Err(format!("it is nested more than {MOST_DEPTH} deep"));
        }
        self.space();
        match self.peek() {
            Some('[') => self.items(']', depth),
            Some('(') => self.items(')', depth),
            Some('{') => self.entries(depth),
            Some('\'' | '"') => self.string().map(Value::String),
            Some(c) if c.is_ascii_digit() || matches!(c, '-' | '+' | '.') => self.number(),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Result<Value, String> {
        let word: String = self.rest().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let value = match word.as_str() {
            "None" => Value::Null,
            "True" => Value::Bool(true),
            "False" => Value::Bool(false),
            _ => return Err(self.wrong("a literal (None, True, False, a number, string, list, tuple or dictionary)")),
        };
        self.at += word.len();
        Ok(value)
    }

    fn number(&mut self) -> Result<Value, String> {
        let is_part = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_');
        let written: String = self.rest().chars().take_while(is_part).collect();
        let plain = written.replace('_', "");
        let whole = plain.parse::<i64>().map(Number::from).ok();
        let number = whole.or_else(|| {
            let looks_real = plain.contains(['.', 'e', 'E']);
            plain.parse().ok().filter(|_| looks_real).and_then(Number::from_f64)
        });
        let number =
            number.ok_or_else(|| format!("expected a finite number at byte {}, found {written:?}", self.at))?;
        self.at += written.len();
        Ok(Value::Number(number))
    }

    fn string(&mut self) -> Result<String, String> {
        let quote = self.peek().unwrap_or('\'');
        self.at += quote.len_utf8();
        let mut text = String::new();
        loop {
            let Some(character) = self.peek() else { return Err(self.wrong("the end of a string")) };
            self.at += character.len_utf8();
            match character {
                c if c == quote => return Ok(text),
                '\\' => self.escape(&mut text)?,
                '\n' => return Err(format!("a string is not closed before the line ends at byte {}", self.at)),
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Result<(), String> {
        let Some(kind) = self.peek() else { return Err(self.wrong("an escape")) };
        let digits = match kind {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        let character = match kind {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            '\\' | '\'' | '"' => kind,
            'x' | 'u' | 'U' => {
                let code = self.rest().get(1..=digits).and_then(|code| u32::from_str_radix(code, 16).ok());
                code.and_then(char::from_u32).ok_or_else(|| self.wrong("an escaped character"))?
            }
            _ => return Err(self.wrong("an escape that is known")),
        };
        self.at += kind.len_utf8() + digits;
        text.push(character);
        Ok(())
    }

    fn items(&mut self, end: char, depth: usize) -> Result<Value, String> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.space();
            if self.take(end.encode_utf8(&mut [0; 4])) {
                return Ok(Value::Array(items));
            }
            items.push(self.value(depth + 1)?);
            self.space();
            if !self.take(",") && self.peek() != Some(end) {
                return Err(self.wrong("a comma or the end of a list"));
            }
        }
    }

    fn entries(&mut self, depth: usize) -> Result<Value, String> {
        self.at += 1;
        let mut entries = Map::new();
        loop {
            self.space();
            if self.take("}") {
                return Ok(Value::Object(entries));
            }
            let key = match self.peek() {
                Some('\'' | '"') => self.string()?,
                _ => return Err(self.wrong("a string as the key of a dictionary")),
            };
            self.space();
            if !self.take(":") {
                return Err(self.wrong("a colon"));
            }
            let value = self.value(depth + 1)?;
            if entries.insert(key.clone(), value).is_some() {
                return Err(format!("the key {key:?} is there twice"));
            }
            self.space();
            if !self.take(",") && self.peek() != Some('}') {
                return Err(self.wrong("a comma or the end of a dictionary"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn literals_become_values_and_back() {
        let text = r#"{'a': [1, -2.5, 1e-3, (True, False,), None], "b'": {'x\n\u00e9': 'it\'s'}, 'c': 1_000, 'd': []}"#;
        let value = parse_python_literal(text).unwrap();
        let expected = json!({
            "a": [1, -2.5, 0.001, [true, false], null], "b'": { "x\n\u{e9}": "it's" }, "c": 1000, "d": [],
        });
        assert_eq!(value, expected);
        assert_eq!(parse_python_literal(&write_python_literal(&value, &["d", "c"])).unwrap(), value);
        assert!(write_python_literal(&value, &["d", "c"]).starts_with("{'d': [], 'c': 1000, 'a'"));
    }

    #[test]
    fn no_cut_and_no_changed_byte_does_more_than_fail() {
        let text = r#"{'a': [1, -2.5e3, (True, None)], 'b\x41': {"c": 'd\n'}, 'é': []}"#;
        assert!(parse_python_literal(text).is_ok());
        for (end, _) in text.char_indices() {
            assert!(parse_python_literal(&text[..end]).is_err(), "cut at {end}");
        }
        for at in 0..text.len() {
            for byte in 0..=255 {
                let mut bytes = text.as_bytes().to_vec();
                bytes[at] = byte;
                let _ = parse_python_literal(&String::from_utf8_lossy(&bytes));
            }
        }
    }

    #[test]
    fn nothing_but_literals_is_read() {
        let deep = "[".repeat(100);
        for text in [
            "",
            "{",
            "[1",
            "'a",
            "'a\n'",
            "__import__('os')",
            "1 + 1",
            "{1: 2}",
            "{'a': 1, 'a': 2}",
            "nan",
            "inf",
            "1e999",
            "[1 2]",
            "99999999999999999999",
            "'\\q'",
            "{'a' 1}",
            "None None",
            "-",
            "b'a'",
            "f''",
            &deep,
            "é",
        ] {
            assert!(parse_python_literal(text).is_err(), "{text:?} was read");
        }
    }
}
