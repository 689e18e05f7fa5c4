//! The part of Markdown that the READMEs use: paragraphs, lists, tables, fenced text, code, strong words, links.

use super::text::{escape, web};

/// Headings of the second level with the text below them.
pub(super) fn sections(text: &str) -> Vec<(String, String)> {
    let mut sections: Vec<(String, String)> = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        fenced ^= line.starts_with("```");
        if let Some(heading) = line.strip_prefix("## ").filter(|_| !fenced) {
            sections.push((heading.trim().to_owned(), String::new()));
        } else if let Some((_, body)) = sections.last_mut() {
            body.push_str(line);
            body.push('\n');
        }
    }
    sections
}

/// Blocks as HTML.
pub(super) fn html(text: &str) -> String {
    let mut out = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim().is_empty() || line.starts_with("<!--") {
            continue;
        }
        if line.starts_with("```") {
            let inner: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
            out += &format!("<pre>{}</pre>\n", escape(&inner.join("\n")));
            continue;
        }
        let mut block = vec![line];
        while let Some(next) = lines.next_if(|next| !next.trim().is_empty() && !next.starts_with("```")) {
            block.push(next);
        }
        out += &match line {
            _ if line.starts_with("- ") => list(&block),
            _ if line.starts_with('|') => table(&block),
            _ => format!("<p>{}</p>\n", inline(&block.join(" "))),
        };
    }
    out
}

fn list(lines: &[&str]) -> String {
    let mut items: Vec<String> = Vec::new();
    for line in lines {
        match (line.strip_prefix("- "), items.last_mut()) {
            (Some(item), _) => items.push(item.to_owned()),
            (None, Some(last)) => *last += &format!(" {}", line.trim()),
            (None, None) => items.push((*line).to_owned()),
        }
    }
    let items: String = items.iter().map(|item| format!("<li>{}</li>\n", inline(item))).collect();
    format!("<ul>\n{items}</ul>\n")
}

fn table(lines: &[&str]) -> String {
    let cells = |line: &str, tag: &str| -> String {
        let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
        inner.split('|').map(|cell| format!("<{tag}>{}</{tag}>", inline(cell.trim()))).collect()
    };
    let rows: String = lines.iter().skip(2).map(|line| format!("<tr>{}</tr>\n", cells(line, "td"))).collect();
    let head = cells(lines[0], "th scope=\"col\"").replace("</th scope=\"col\">", "</th>");
    format!(
        "<div class=\"wide\" role=\"region\" aria-label=\"Table\" tabindex=\"0\"><table>\n\
         <thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n"
    )
}

/// Code, strong words and links; an address that is none of the web is left out, its words stay.
fn inline(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['`', '[', '*']) {
        out += &escape(&rest[..at]);
        let found = &rest[at..];
        let (html, used) =
            code(found).or_else(|| strong(found)).or_else(|| link(found)).unwrap_or_else(|| {
                let first = found.chars().next().map_or(0, char::len_utf8);
                (escape(&found[..first]), first)
            });
        out += &html;
        rest = &found[used..];
    }
    out + &escape(rest)
}

fn code(text: &str) -> Option<(String, usize)> {
    let inner = text.strip_prefix('`')?;
    let end = inner.find('`')?;
    Some((format!("<code>{}</code>", escape(&inner[..end])), end + 2))
}

fn strong(text: &str) -> Option<(String, usize)> {
    let inner = text.strip_prefix("**")?;
    let end = inner.find("**")?;
    Some((format!("<strong>{}</strong>", inline(&inner[..end])), end + 4))
}

fn link(text: &str) -> Option<(String, usize)> {
    let inner = text.strip_prefix('[')?;
    let middle = inner.find("](")?;
    let end = middle + inner[middle..].find(')')?;
    let words = inline(&inner[..middle]);
    let html = match web(&inner[middle + 2..end]) {
        Some(address) => format!("<a href=\"{address}\">{words}</a>"),
        None => words,
    };
    Some((html, end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_begin_at_headings_outside_of_fences() {
        let text = "# t\n## A\na\n```\n## no\n```\n## B\nb\n";
        let expected = [("A", "a\n```\n## no\n```\n"), ("B", "b\n")];
        let expected = expected.map(|(heading, body)| (heading.to_owned(), body.to_owned()));
        assert_eq!(sections(text), expected);
    }

    #[test]
    fn blocks_and_words() {
        assert_eq!(html("a *b*\n`<c>` **d**\n"), "<p>a *b* <code>&lt;c&gt;</code> <strong>d</strong></p>\n");
        assert_eq!(html("- a\n  b\n- c\n"), "<ul>\n<li>a b</li>\n<li>c</li>\n</ul>\n");
        assert!(html("| a | b |\n|---|---|\n| 1 | <2> |\n").contains("<td>1</td><td>&lt;2&gt;</td>"));
        assert_eq!(html("```\n<x>\n```\n"), "<pre>&lt;x&gt;</pre>\n");
        assert_eq!(html("[a](https://b) [c](d.md) [e"), "<p><a href=\"https://b\">a</a> c [e</p>\n");
    }
}
