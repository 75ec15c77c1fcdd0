//! A body as a tree that folds, with so much of it at once as a browser shows quickly.

use std::fmt::Write as _;

use serde_json::Value;

use crate::door::encoded;

/// Values that are shown at once.
const NODES_MAX: usize = 3000;
/// Elements of one array, or keys of one object, that are shown at once.
const ELEMENTS_MAX: usize = 200;
/// Letters of one text that are shown.
const TEXT_CHARS_MAX: usize = 2000;
/// Levels that stand open.
const OPEN_LEVELS: usize = 2;
/// Levels that are shown at once.
const DEPTH_MAX: usize = 40;

/// Draws trees of one record's body.
pub(super) struct Tree<'a> {
    /// The page of the record, to lead to the parts that are not shown.
    pub page: &'a str,
    /// Where to look for records with the same value; the path and value come behind.
    pub alike: Option<&'a str>,
}

struct Drawing<'a, 'b> {
    tree: &'b Tree<'a>,
    html: String,
    left: usize,
}

impl Tree<'_> {
    /// The part of a body that `pointer` led to, as HTML.
    pub fn draw(&self, value: &Value, pointer: &str) -> String {
        let mut drawing = Drawing {
            tree: self,
            html: String::new(),
            left: NODES_MAX,
        };
        drawing.children(value, pointer, &mut Vec::new(), 0);
        drawing.html
    }
}

impl Drawing<'_, '_> {
    /// What stands in an object or array; a plain value stands alone.
    fn children(&mut self, value: &Value, pointer: &str, path: &mut Vec<String>, depth: usize) {
        let count = match value {
            Value::Object(entries) => entries.len(),
            Value::Array(items) => items.len(),
            _ => {
                self.html.push_str("<ul class=tree><li>");
                self.plain(value, path);
                self.html.push_str("</li></ul>");
                return;
            }
        };
        self.html.push_str("<ul class=tree>");
        match value {
            Value::Object(entries) => {
                for (key, value) in entries.iter().take(ELEMENTS_MAX) {
                    let below = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
                    path.push(key.clone());
                    self.entry(key, value, &below, path, depth);
                    path.pop();
                }
            }
            Value::Array(items) => {
                for (n, value) in items.iter().enumerate().take(ELEMENTS_MAX) {
                    let below = format!("{pointer}/{n}");
                    path.push("[]".to_owned());
                    self.entry(&n.to_string(), value, &below, path, depth);
                    path.pop();
                }
            }
            _ => {}
        }
        if count > ELEMENTS_MAX {
            let _ = write!(
                self.html,
                "<li class=more>{} more: <a href=\"{}?part={}&amp;from={ELEMENTS_MAX}\">go on</a></li>",
                count - ELEMENTS_MAX,
                escaped(self.tree.page),
                encoded(pointer),
            );
        }
        self.html.push_str("</ul>");
    }

    fn entry(
        &mut self,
        key: &str,
        value: &Value,
        pointer: &str,
        path: &mut Vec<String>,
        depth: usize,
    ) {
        self.html.push_str("<li>");
        let count = match value {
            Value::Object(entries) if !entries.is_empty() => entries.len(),
            Value::Array(items) if !items.is_empty() => items.len(),
            _ => {
                let _ = write!(self.html, "<span class=key>{}</span> ", escaped(key));
                self.left = self.left.saturating_sub(1);
                self.plain(value, path);
                self.html.push_str("</li>");
                return;
            }
        };
        let what = if value.is_array() { "elements" } else { "keys" };
        if self.left == 0 || depth >= DEPTH_MAX {
            let _ = write!(
                self.html,
                "<span class=key>{}</span> <a href=\"{}?part={}\">{count} {what}</a></li>",
                escaped(key),
                escaped(self.tree.page),
                encoded(pointer),
            );
            return;
        }
        self.left -= 1;
        let open = if depth < OPEN_LEVELS && count <= 40 {
            " open"
        } else {
            ""
        };
        let _ = write!(
            self.html,
            "<details{open}><summary><span class=key>{}</span> <span class=count>{count} {what}</span></summary>",
            escaped(key),
        );
        self.children(value, pointer, path, depth + 1);
        self.html.push_str("</details></li>");
    }

    fn plain(&mut self, value: &Value, path: &[String]) {
        let (class, text) = match value {
            Value::Null => ("null", "null".to_owned()),
            Value::Bool(flag) => ("flag", flag.to_string()),
            Value::Number(number) => ("number", number.to_string()),
            Value::String(text) if text.is_empty() => ("null", "\"\"".to_owned()),
            Value::String(text) => ("text", text.clone()),
            Value::Array(_) => ("null", "[]".to_owned()),
            Value::Object(_) => ("null", "{}".to_owned()),
        };
        let cut = text.char_indices().nth(TEXT_CHARS_MAX).map(|(end, _)| end);
        let shown = escaped(cut.map_or(&text, |end| &text[..end]));
        let criterion =
            criterion(path, &text).filter(|_| matches!(class, "text" | "number" | "flag"));
        // Text of any direction keeps to itself.
        match self.tree.alike.zip(criterion) {
            Some((alike, criterion)) => {
                let _ = write!(
                    self.html,
                    "<a class={class} title=\"records with the same\" href=\"{}&amp;where={}\"><bdi>{shown}</bdi></a>",
                    escaped(alike),
                    encoded(&criterion),
                );
            }
            None => {
                let _ = write!(self.html, "<span class={class}><bdi>{shown}</bdi></span>");
            }
        }
        if cut.is_some() {
            let _ = write!(
                self.html,
                "<span class=more>… {} letters in all</span>",
                text.chars().count()
            );
        }
    }
}

/// `Order.Lines[].SKU=A` for a value, where a criterion can say it.
fn criterion(path: &[String], text: &str) -> Option<String> {
    let says = !path.is_empty()
        && !text.is_empty()
        && text.len() <= 100
        && !text.contains(['\n', '\r'])
        && path
            .iter()
            .all(|key| key == "[]" || key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
    if !says {
        return None;
    }
    let mut criterion = String::new();
    for key in path {
        if key != "[]" && !criterion.is_empty() {
            criterion.push('.');
        }
        criterion.push_str(key);
    }
    Some(format!("{criterion}={text}"))
}

/// Text in HTML, within quotes too.
pub(super) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            letter => html.push(letter),
        }
    }
    html
}

#[cfg(test)]
mod tests;
