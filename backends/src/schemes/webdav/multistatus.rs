// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reads the answer to a `PROPFIND`: whatever prefix a server gives to the namespace, only local names are looked at.

use quick_xml::{Reader, events::Event};

/// One resource of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Entry {
    /// As the server wrote it: a path or a URL, encoded. Later the path below the root, decoded, without a slash at its end.
    pub(super) path: String,
    pub(super) is_folder: bool,
    pub(super) size_bytes: Option<u64>,
}

/// The resources of an answer, or what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let mut reader = Reader::from_str(text);
    let mut entries = Vec::new();
    let mut current: Option<Entry> = None;
    let mut content = String::new();
    let mut is_multistatus = false;
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(tag) => {
                content.clear();
                match tag.local_name().as_ref() {
                    "multistatus" => is_multistatus = true,
                    "response" => current = Some(Entry::default()),
                    "collection" => mark_folder(&mut current),
                    _ => {}
                }
            }
            Event::Empty(tag) => {
                if tag.local_name().as_ref() == "collection" {
                    mark_folder(&mut current);
                }
                is_multistatus |= tag.local_name().as_ref() == "multistatus";
            }
            Event::Text(text) => content.push_str(&text),
            Event::CData(text) => content.push_str(&text),
            Event::GeneralRef(reference) => push_reference(&reference, &mut content)?,
            Event::End(tag) => match (tag.local_name().as_ref(), &mut current) {
                ("href", Some(entry)) if entry.path.is_empty() => content.trim().clone_into(&mut entry.path),
                ("getcontentlength", Some(entry)) => {
                    entry.size_bytes = content.trim().parse().ok().or(entry.size_bytes);
                }
                ("response", Some(_)) => entries.extend(current.take()),
                _ => {}
            },
            Event::Eof => break,
            _ => {}
        }
    }
    if is_multistatus {
        Ok(entries)
    } else {
        Err("the answer is not the one of a WebDAV server".to_owned())
    }
}

fn mark_folder(current: &mut Option<Entry>) {
    if let Some(entry) = current {
        entry.is_folder = true;
    }
}

/// `&amp;` and its like in names.
fn push_reference(reference: &quick_xml::events::BytesRef<'_>, content: &mut String) -> Result<(), String> {
    if let Some(character) = reference.resolve_char_ref().map_err(|error| error.to_string())? {
        content.push(character);
        return Ok(());
    }
    content.push_str(
        quick_xml::escape::resolve_predefined_entity(&reference.xml10_content()).unwrap_or_default(),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_prefix_and_any_spelling_of_a_folder_is_read() {
        let text = r#"<?xml version="1.0"?>
            <d:multistatus xmlns:d="DAV:" xmlns:lp1="DAV:"><d:response><d:href>/a&amp;b/</d:href><d:propstat><d:prop>
            <lp1:resourcetype><d:collection/></lp1:resourcetype></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>
            <d:response><d:href>http://h/a%20b/x</d:href><d:propstat><d:prop><lp1:resourcetype/>
            <lp1:getcontentlength>42</lp1:getcontentlength></d:prop></d:propstat><d:propstat><d:prop><d:getcontentlength/></d:prop>
            <d:status>HTTP/1.1 404 Not Found</d:status></d:propstat></d:response></d:multistatus>"#;
        let entries = parse(text).unwrap();
        assert_eq!(entries.len(), 2);
        assert!(entries[0].is_folder && entries[0].path == "/a&b/");
        assert_eq!(
            (
                entries[1].path.as_str(),
                entries[1].size_bytes,
                entries[1].is_folder
            ),
            ("http://h/a%20b/x", Some(42), false)
        );
        assert_eq!(parse("<multistatus xmlns='DAV:'/>").unwrap(), []);
    }

    #[test]
    fn what_is_no_multistatus_is_refused_and_never_panics() {
        for text in [
            "",
            "<html><body>Log in</body></html>",
            "<multistatus><response",
            "&#x;",
            "<a>&unknown;</a>",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
