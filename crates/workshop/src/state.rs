//! What the watch screen is a picture of, and what keys do to it. No input or output here: what a key asks of the world
//! is an [`Effect`].

use crate::{course::Exercise, judge::Report, progress::Standing, readme::Readme, style::Style};
use common::verdict::Kind;

/// All that the screen shows.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) style: Style,
    pub(crate) entries: Vec<Entry>,
    /// The exercise on the screen.
    pub(crate) selected: usize,
    pub(crate) readme: Readme,
    /// The learner's file, as it is shown.
    pub(crate) path: String,
    /// The same, for terminals that follow links.
    pub(crate) link: Option<String>,
    pub(crate) solution: String,
    pub(crate) checking: Option<Checking>,
    pub(crate) result: Option<Outcome>,
    pub(crate) view: View,
    /// How many hints were asked for.
    pub(crate) hints: usize,
    /// One line, until the next key.
    pub(crate) notice: Option<String>,
    pub(crate) asking: Option<Ask>,
    /// Lines of the body above the screen.
    pub(crate) scroll: usize,
}

/// An exercise in the list.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) exercise: Exercise,
    pub(crate) title: String,
    pub(crate) standing: Standing,
}

/// A check under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checking {
    pub(crate) step: String,
    /// Whole seconds since it began.
    pub(crate) seconds: u64,
}

/// What the last check came to.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Judged(Box<Report>),
    /// There is no verdict, and why.
    Failed(String),
}

/// What fills the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    Exercise,
    List { cursor: usize },
    Solution,
    Help,
}

/// A question that the next key answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    Reset,
    Solution,
}

/// A key, freed of the terminal library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Char(char),
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Escape,
    Interrupt,
}

/// What a key asks of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Nothing,
    Quit,
    Select(usize),
    Check,
    Reset,
    RunExample,
    OpenPage,
}

impl State {
    pub(crate) fn exercise(&self) -> Exercise {
        self.entries[self.selected].exercise
    }

    pub(crate) fn solved(&self) -> usize {
        self.entries.iter().filter(|entry| entry.standing.is_solved()).count()
    }

    pub(crate) fn report(&self) -> Option<&Report> {
        match &self.result {
            Some(Outcome::Judged(report)) => Some(report),
            _ => None,
        }
    }

    /// The next exercise that is not solved, from here on and then from the start.
    pub(crate) fn next_unsolved(&self) -> Option<usize> {
        let count = self.entries.len();
        (1..=count).map(|n| (self.selected + n) % count).find(|n| !self.entries[*n].standing.is_solved())
    }

    /// What a key does. `page` is the height of the body.
    pub(crate) fn key(&mut self, key: Key, page: usize) -> Effect {
        self.notice = None;
        let asked = self.asking.take();
        if key == Key::Interrupt || key == Key::Char('q') {
            return Effect::Quit;
        }
        match (asked, key) {
            (Some(Ask::Reset), Key::Char('x' | 'y')) => return Effect::Reset,
            (Some(Ask::Solution), Key::Char('s' | 'y')) => {
                self.show(View::Solution);
                return Effect::Nothing;
            }
            _ => {}
        }
        if self.move_in_list(key, page) {
            return Effect::Nothing;
        }
        match key {
            Key::Up | Key::Char('k') => self.scroll = self.scroll.saturating_sub(1),
            Key::Down | Key::Char('j') => self.scroll += 1,
            Key::PageUp => self.scroll = self.scroll.saturating_sub(page.max(1)),
            Key::PageDown | Key::Char(' ') => self.scroll += page.max(1),
            Key::Home | Key::Char('g') => self.scroll = 0,
            // The screen limits it.
            Key::End | Key::Char('G') => self.scroll = usize::MAX / 2,
            Key::Escape => self.show(View::Exercise),
            Key::Enter => {
                if let View::List { cursor } = self.view {
                    return Effect::Select(cursor);
                }
                self.show(View::Exercise);
            }
            Key::Char('n') => return self.go(self.selected + 1, "this is the last exercise"),
            Key::Char('p') => return self.go(self.selected.wrapping_sub(1), "this is the first exercise"),
            Key::Char('l') => self.toggle(View::List { cursor: self.selected }),
            Key::Char('?') => self.toggle(View::Help),
            Key::Char('h') => self.hint(),
            Key::Char('s') if self.view == View::Solution => self.show(View::Exercise),
            Key::Char('s') if self.entries[self.selected].standing.is_solved() => self.show(View::Solution),
            Key::Char('s') => self.asking = Some(Ask::Solution),
            Key::Char('x') => self.asking = Some(Ask::Reset),
            Key::Char('c') => return Effect::Check,
            Key::Char('r') => return Effect::RunExample,
            Key::Char('o') => return Effect::OpenPage,
            Key::Char(_) | Key::Interrupt => {}
        }
        Effect::Nothing
    }

    fn move_in_list(&mut self, key: Key, page: usize) -> bool {
        let last = self.entries.len().saturating_sub(1);
        let View::List { cursor } = &mut self.view else {
            return false;
        };
        *cursor = match key {
            Key::Up | Key::Char('k') => cursor.saturating_sub(1),
            Key::Down | Key::Char('j') => (*cursor + 1).min(last),
            Key::PageUp => cursor.saturating_sub(page),
            Key::PageDown => (*cursor + page).min(last),
            Key::Home | Key::Char('g') => 0,
            Key::End | Key::Char('G') => last,
            _ => return false,
        };
        true
    }

    fn show(&mut self, view: View) {
        self.view = view;
        self.scroll = 0;
    }

    fn toggle(&mut self, view: View) {
        let open = std::mem::discriminant(&self.view) == std::mem::discriminant(&view);
        self.show(if open { View::Exercise } else { view });
    }

    fn go(&mut self, to: usize, otherwise: &str) -> Effect {
        if to < self.entries.len() {
            return Effect::Select(to);
        }
        self.notice = Some(otherwise.to_owned());
        Effect::Nothing
    }

    fn hint(&mut self) {
        self.show(View::Exercise);
        if self.readme.hints.is_empty() {
            self.notice = Some(String::from("this exercise has no hints"));
        } else if self.hints == self.readme.hints.len() {
            self.notice = Some(String::from("that was the last hint; s shows a solution"));
        } else {
            self.hints += 1;
        }
    }

    /// Takes a verdict in.
    pub(crate) fn judged(&mut self, report: Report) {
        let rule = report.verdict.rule().map(str::to_owned);
        self.entries[self.selected].standing = Standing::Judged(report.verdict.kind, rule);
        self.checking = None;
        // A new verdict is read from its beginning; the same one again leaves the reader where they are.
        if self.report().map(|old| &old.verdict) != Some(&report.verdict) {
            self.scroll = 0;
        }
        if report.verdict.kind == Kind::Pass && self.view == View::Exercise {
            self.hints = 0;
        }
        self.result = Some(Outcome::Judged(Box::new(report)));
    }

    /// Takes in that there is no verdict.
    pub(crate) fn failed(&mut self, why: String) {
        self.checking = None;
        self.scroll = 0;
        self.result = Some(Outcome::Failed(why));
    }
}
