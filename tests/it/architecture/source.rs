//! The source as tokens, without what is compiled for tests only; rules on single files.

use super::{files_below, none, relative, root};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use std::collections::HashSet;

/// Longer files hold two nouns.
const MOST_LINES: usize = 600;

/// A file of `src/`.
pub(super) struct Source {
    /// Its path from the top of the tree.
    pub(super) path: String,
    /// The module it is.
    pub(super) module: Vec<String>,
    /// Its text.
    pub(super) text: String,
    /// Its tokens, without `#[cfg(test)]` items.
    pub(super) tokens: Vec<TokenTree>,
    /// Lines of `#[cfg(test)]` items.
    test_lines: usize,
}

/// A path that starts at `crate`, `self` or `super`, in full, and its line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Import {
    pub(super) path: String,
    pub(super) line: usize,
}

/// All of `src/`, but for files that are compiled for tests only.
pub(super) fn sources() -> Vec<Source> {
    let mut test_modules = HashSet::new();
    let mut all = Vec::new();
    for path in files_below(&root().join("src")) {
        if path.extension().is_none_or(|e| e != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let path = relative(&path);
        let stream: TokenStream = text.parse().unwrap_or_else(|e| panic!("{path}: {e}"));
        let module = module_of(&path);
        let mut without = WithoutTests { module: &module, test_modules: &mut test_modules, lines: 0 };
        let tokens = without.strip(stream);
        let test_lines = without.lines;
        all.push(Source { path, module, text, tokens, test_lines });
    }
    all.retain(|s| !(1..=s.module.len()).any(|n| test_modules.contains(&s.module[..n])));
    assert!(all.len() > 50, "the walk over src/ finds {} files only", all.len());
    all
}

fn module_of(path: &str) -> Vec<String> {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut module: Vec<String> = inside.split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
        module.pop();
    }
    module
}

struct WithoutTests<'a> {
    module: &'a [String],
    test_modules: &'a mut HashSet<Vec<String>>,
    lines: usize,
}

impl WithoutTests<'_> {
    fn strip(&mut self, stream: TokenStream) -> Vec<TokenTree> {
        let tokens: Vec<_> = stream.into_iter().collect();
        let mut kept = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            if is_test_attribute(&tokens[at..]) {
                let end = item_end(&tokens, at);
                self.note(&tokens[at..end]);
                at = end;
                continue;
            }
            match &tokens[at] {
                TokenTree::Group(group) => {
                    let inside = self.strip(group.stream()).into_iter().collect();
                    let mut smaller = Group::new(group.delimiter(), inside);
                    smaller.set_span(group.span());
                    kept.push(smaller.into());
                }
                other => kept.push(other.clone()),
            }
            at += 1;
        }
        kept
    }

    /// Remembers how long a left-out item is, and which file `mod x;` names.
    fn note(&mut self, item: &[TokenTree]) {
        let (first, last) = (&item[0], &item[item.len() - 1]);
        self.lines += last.span().end().line + 1 - first.span().start().line;
        for three in item.windows(3) {
            if is_ident(&three[0], "mod") && is_punct(&three[2], ';') {
                let mut module = self.module.to_vec();
                module.push(three[1].to_string());
                self.test_modules.insert(module);
            }
        }
    }
}

/// `#[cfg(test)]`, and `cfg` with `test` anywhere inside but under `not`.
fn is_test_attribute(tokens: &[TokenTree]) -> bool {
    let [TokenTree::Punct(hash), TokenTree::Group(group), ..] = tokens else { return false };
    let text = group.stream().to_string().replace(' ', "");
    let words: Vec<_> = text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    hash.as_char() == '#' && text.starts_with("cfg(") && words.contains(&"test") && !words.contains(&"not")
}

/// One past the last token of the item whose first attribute is at `at`.
fn item_end(tokens: &[TokenTree], mut at: usize) -> usize {
    while at + 1 < tokens.len() && is_punct(&tokens[at], '#') {
        at += 2;
    }
    let words: Vec<_> = tokens[at..].iter().take(4).map(ToString::to_string).collect();
    let has = |word: &str| words.iter().any(|w| w == word);
    let ends_with_brace = !has("use") && !has("static") && !has("let") && (!has("const") || has("fn"));
    while at < tokens.len() {
        let brace = matches!(&tokens[at], TokenTree::Group(g) if g.delimiter() == Delimiter::Brace);
        let semicolon = is_punct(&tokens[at], ';');
        at += 1;
        if semicolon || brace && ends_with_brace {
            break;
        }
    }
    at
}

fn is_ident(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == name)
}

fn is_punct(token: &TokenTree, char: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == char)
}

fn is_path_separator(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [a, b, ..] if is_punct(a, ':') && is_punct(b, ':'))
}

impl Source {
    /// Every identifier, with its line.
    pub(super) fn words(&self) -> Vec<(String, usize)> {
        fn collect(tokens: impl IntoIterator<Item = TokenTree>, words: &mut Vec<(String, usize)>) {
            for token in tokens {
                match token {
                    TokenTree::Ident(ident) => words.push((ident.to_string(), ident.span().start().line)),
                    TokenTree::Group(group) => collect(group.stream(), words),
                    _ => {}
                }
            }
        }
        let mut words = Vec::new();
        collect(self.tokens.iter().cloned(), &mut words);
        words
    }

    /// Everything of this crate that the file names by a path.
    pub(super) fn imports(&self) -> Vec<Import> {
        let mut found = Vec::new();
        imports(&self.tokens, &self.module, &mut found);
        found.sort();
        found
    }
}

fn imports(tokens: &[TokenTree], module: &[String], found: &mut Vec<Import>) {
    let mut at = 0;
    while at < tokens.len() {
        if let [keyword, name, TokenTree::Group(body), ..] = &tokens[at..]
            && is_ident(keyword, "mod")
        {
            let inner = [module, &[name.to_string()]].concat();
            imports(&body.stream().into_iter().collect::<Vec<_>>(), &inner, found);
            at += 3;
            continue;
        }
        if let TokenTree::Group(group) = &tokens[at] {
            imports(&group.stream().into_iter().collect::<Vec<_>>(), module, found);
        }
        let is_start = ["crate", "self", "super"].iter().any(|k| is_ident(&tokens[at], k));
        if !is_start || !is_path_separator(&tokens[at + 1..]) {
            at += 1;
            continue;
        }
        let line = tokens[at].span().start().line;
        let mut base = module.to_vec();
        if is_ident(&tokens[at], "crate") {
            base.clear();
        }
        if !is_ident(&tokens[at], "super") {
            at += 3;
        }
        while at + 1 < tokens.len() && is_ident(&tokens[at], "super") && is_path_separator(&tokens[at + 1..])
        {
            base.pop();
            at += 3;
        }
        let mut paths = Vec::new();
        at += use_tree(&tokens[at..], base, &mut paths);
        found.extend(paths.into_iter().map(|path| Import { path: path.join("::"), line }));
    }
}

/// Reads `a::b`, `a::{b, c::{d}}`, `a::*`; gives the number of tokens read.
fn use_tree(tokens: &[TokenTree], mut path: Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    let mut at = 0;
    loop {
        match tokens.get(at) {
            Some(TokenTree::Ident(ident)) => {
                if ident != "self" {
                    path.push(ident.to_string());
                }
                at += 1;
                if tokens.len() > at && is_path_separator(&tokens[at..]) {
                    at += 2;
                    continue;
                }
            }
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let inside: Vec<_> = group.stream().into_iter().collect();
                for part in inside.split(|t| is_punct(t, ',')).filter(|part| !part.is_empty()) {
                    use_tree(part, path.clone(), found);
                }
                return at + 1;
            }
            _ => {}
        }
        found.push(path);
        return at;
    }
}

/// Calls that end the program or print past `cli::output`.
fn banned(tokens: &[TokenTree], found: &mut Vec<(usize, String)>) {
    const MACROS: [&str; 8] =
        ["panic", "todo", "unimplemented", "println", "print", "eprintln", "eprint", "dbg"];
    for at in 0..tokens.len() {
        let line = tokens[at].span().start().line;
        match &tokens[at..] {
            [dot, TokenTree::Ident(name), TokenTree::Group(arguments), ..] if is_punct(dot, '.') => {
                let first = arguments.stream().into_iter().next();
                // A reader of ours has an `expect(tag)`; the standard one takes a text.
                let text = !matches!(&first, Some(TokenTree::Ident(ident)) if ident == "tag");
                if name == "unwrap" && first.is_none() || name == "expect" && text {
                    found.push((line, format!(".{name}()")));
                }
            }
            [TokenTree::Ident(name), bang, TokenTree::Group(_), ..]
                if is_punct(bang, '!') && MACROS.iter().any(|m| name == m) =>
            {
                found.push((line, format!("{name}!")));
            }
            _ => {}
        }
        if let TokenTree::Group(group) = &tokens[at] {
            banned(&group.stream().into_iter().collect::<Vec<_>>(), found);
        }
    }
}

#[test]
fn nothing_panics_on_purpose_or_prints_outside_tests() {
    let mut wrong = Vec::new();
    for source in sources() {
        let mut found = Vec::new();
        banned(&source.tokens, &mut found);
        wrong.extend(found.into_iter().map(|(line, call)| format!("{}:{line}: {call}", source.path)));
    }
    none("an error must be returned, and cli::output prints", &wrong);
}

#[test]
fn every_file_begins_with_what_it_is_for() {
    let mut files = files_below(&root().join("tests/it"));
    files.extend(sources().into_iter().map(|s| root().join(s.path)));
    let rust = files.iter().filter(|p| p.extension().is_some_and(|e| e == "rs"));
    let bare = rust.filter(|p| !std::fs::read_to_string(p).unwrap().starts_with("//! "));
    none("a file needs a //! header", &bare.map(|p| relative(p)).collect::<Vec<_>>());
}

#[test]
fn no_file_holds_two_nouns() {
    let long = sources().into_iter().filter_map(|s| {
        let lines = s.text.lines().count().saturating_sub(s.test_lines);
        (lines > MOST_LINES).then(|| format!("{}: {lines} lines without its tests", s.path))
    });
    none(&format!("split what has more than {MOST_LINES} lines, by noun"), &long.collect::<Vec<_>>());
}

#[test]
fn the_reader_of_sources_sees_nested_paths_and_leaves_tests_out() {
    let text = "
        use crate::{clock::Clock, wire::{self, lockdown::{Reply, Request}}};
        use super::super::base::Thing as Other;
        #[cfg(test)] use crate::unseen::{A};
        fn f(x: crate::ids::Udid) { g::<crate::secret::Secret<u8>>(super::near()); x.unwrap() }
        mod inner { use super::here; use self::there::*; }
        #[cfg(test)] mod tests { use crate::unseen; fn t() { panic!() } }
        // crate::unseen
        const TEXT: &str = \"crate::unseen panic!()\";
    ";
    let module = ["a", "b", "c"].map(str::to_owned).to_vec();
    let mut test_modules = HashSet::new();
    let mut without = WithoutTests { module: &module, test_modules: &mut test_modules, lines: 0 };
    let tokens = without.strip(text.parse().unwrap());
    let mut found = Vec::new();
    imports(&tokens, &module, &mut found);
    let mut paths: Vec<_> = found.iter().map(|i| i.path.as_str()).collect();
    paths.sort_unstable();
    let expected = [
        "a::b::c::here",
        "a::b::c::inner::there",
        "a::b::near",
        "a::base::Thing",
        "clock::Clock",
        "ids::Udid",
        "secret::Secret",
        "wire",
        "wire::lockdown::Reply",
        "wire::lockdown::Request",
    ];
    assert_eq!(paths, expected);
    let mut calls = Vec::new();
    banned(&tokens, &mut calls);
    assert_eq!(calls, [(5, ".unwrap()".to_owned())]);
}
