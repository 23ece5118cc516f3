//! The watch screen's input and output: keys, the learner's file, checks on a thread, drawing.

use crate::{
    answer::Answer,
    cache::{Cache, Content},
    check::words,
    compile::Step,
    course, example,
    judge::{Report, judge},
    lesson,
    process::{Cancel, Ended, Program, closing},
    progress::standing,
    readme::Readme,
    repository::Repository,
    screen::{Screen, render},
    state::{Checking, Effect, Entry, Key, State, View},
    stop::Stop,
    style::Style,
};
use crossterm::{
    cursor,
    event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
    execute, queue, terminal,
};
use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{self, Receiver, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

/// How often the file is looked at. Polling one file costs nothing, needs no system's interface for watching, and sees
/// what those miss: editors that replace the file, and network drives.
const GLANCE: Duration = Duration::from_millis(40);
/// Every so many glances the bytes are compared whatever the time of modification says: some clocks are coarse.
const THOROUGH: u32 = 25;
/// Longer than an orderly end takes.
const LAST_RESORT: Duration = Duration::from_secs(5);
/// A file may be missing for so many glances, while an editor replaces it.
const PATIENCE: u32 = 10;

/// `workshop` on a terminal.
pub(crate) fn run(repository: &Repository) -> Result<bool, Stop> {
    let (quit, interrupt) = (Cancel::default(), Cancel::default());
    #[cfg(unix)]
    {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        for (signal, flag) in [
            (SIGTERM, &quit),
            (SIGHUP, &quit),
            (SIGTERM, &interrupt),
            (SIGHUP, &interrupt),
            (SIGINT, &interrupt),
        ] {
            signal_hook::flag::register(signal, flag.flag()).map_err(Stop::cannot("listen for signals"))?;
        }
    }
    last_resort(quit.clone());
    let mut watch = Watch::new(repository.clone(), quit, interrupt);
    let mut window = Window::open().map_err(Stop::cannot("take over the terminal"))?;
    let ended = watch.run(&mut window);
    drop(window);
    watch.finish();
    ended.map(|()| true)
}

/// Ends the process when it was asked to end and can't: a terminal that has gone away reads as "at its end" for ever, and
/// crossterm goes on reading it for as long. What was started goes along, as it does when this is killed.
fn last_resort(quit: Cancel) {
    thread::spawn(move || {
        while !quit.is_cancelled() {
            thread::park_timeout(Duration::from_millis(200));
        }
        let asked = Instant::now();
        while asked.elapsed() < LAST_RESORT {
            thread::park_timeout(LAST_RESORT);
        }
        std::process::exit(1);
    });
}

/// What a check's thread reports; the number tells old checks from the present one.
enum News {
    Step(u32, Step),
    Done(u32, Box<Result<Report, Stop>>),
}

struct Watch {
    repository: Repository,
    state: State,
    /// Set by SIGTERM and SIGHUP: the end.
    quit: Cancel,
    /// Set by these, and by SIGINT, which only ends an example that runs.
    interrupt: Cancel,
    news: Receiver<News>,
    sender: Sender<News>,
    /// The number of the present check.
    check: u32,
    cancel: Cancel,
    /// Cancelled ones included, until they have removed what they made.
    checks: Vec<JoinHandle<()>>,
    began: Instant,
    file: Watched,
    /// Until the learner does something, exercises that turn out to be solved are passed over.
    settling: bool,
}

impl Watch {
    fn new(repository: Repository, quit: Cancel, interrupt: Cancel) -> Self {
        let entries: Vec<Entry> = repository
            .exercises()
            .map(|exercise| {
                let readme = repository.read_text(exercise, "README.md").unwrap_or_default();
                Entry {
                    exercise,
                    title: Readme::parse(&readme).title,
                    standing: standing(&repository, exercise),
                }
            })
            .collect();
        let selected = entries.iter().position(|entry| !entry.standing.is_solved()).unwrap_or(0);
        let (sender, news) = mpsc::channel();
        let state = State {
            style: Style::of_stdout(),
            entries,
            selected,
            readme: Readme::default(),
            path: String::new(),
            link: None,
            solution: String::new(),
            checking: None,
            result: None,
            view: View::Exercise,
            hints: 0,
            notice: None,
            asking: None,
            scroll: 0,
        };
        let file = Watched::new(PathBuf::new());
        let cancel = Cancel::default();
        let began = Instant::now();
        let mut watch = Self {
            repository,
            state,
            quit,
            interrupt,
            news,
            sender,
            check: 0,
            cancel,
            checks: Vec::new(),
            began,
            file,
            settling: true,
        };
        watch.select(selected);
        watch
    }

    fn run(&mut self, window: &mut Window) -> Result<(), Stop> {
        let lost = |error| Stop::cannot("use the terminal")(error);
        loop {
            // A terminal that does not know its size says 0.
            let size = terminal::size().ok().filter(|(columns, rows)| *columns > 0 && *rows > 0);
            let (columns, rows) = size.unwrap_or((80, 24));
            let screen = render(&self.state, columns.into(), rows.into());
            self.state.scroll = self.state.scroll.min(screen.furthest);
            let page = screen.page;
            window.draw(screen, (columns, rows)).map_err(lost)?;

            // While a check runs its news should not wait for the next glance.
            let patience = if self.state.checking.is_some() { GLANCE / 4 } else { GLANCE };
            if event::poll(patience).map_err(lost)? {
                // All that has been typed, then one drawing.
                while event::poll(Duration::ZERO).map_err(lost)? {
                    if let Some(key) = key(&event::read().map_err(lost)?) {
                        self.settling = false;
                        if self.press(key, page, window)? {
                            self.cancel.cancel();
                            return Ok(());
                        }
                    }
                }
            }
            if self.quit.is_cancelled() || self.interrupt.is_cancelled() {
                self.cancel.cancel();
                return Ok(());
            }
            self.hear();
            self.look();
        }
    }

    /// Whether the key ends the program.
    fn press(&mut self, key: Key, page: usize, window: &mut Window) -> Result<bool, Stop> {
        match self.state.key(key, page) {
            Effect::Nothing => {}
            Effect::Quit => return Ok(true),
            Effect::Select(to) => self.select(to),
            Effect::Check => {
                self.file = Watched::new(std::mem::take(&mut self.file.path));
                self.look();
            }
            Effect::Reset => self.reset(),
            Effect::OpenPage => self.state.notice = Some(open_page(&self.repository, self.state.exercise())),
            Effect::RunExample => match example::find(&self.repository, &self.example()) {
                Ok(krate) => self.run_example(&krate, window).map_err(Stop::cannot("use the terminal"))?,
                Err(_) => self.state.notice = Some(String::from("this exercise has no example")),
            },
        }
        Ok(false)
    }

    /// The example that goes with the exercise has the name of its page.
    fn example(&self) -> String {
        let exercise = self.state.exercise();
        self.repository.page(exercise).unwrap_or_else(|| exercise.name.to_owned())
    }

    /// Goes to an exercise and checks it.
    fn select(&mut self, to: usize) {
        self.state.selected = to;
        let exercise = self.state.exercise();
        let readme = self.repository.read_text(exercise, "README.md").unwrap_or_default();
        let path = self.repository.file(exercise, "exercise.rs");
        self.state.readme = Readme::parse(&readme);
        self.state.solution = self.repository.read_text(exercise, "solution.rs").unwrap_or_default();
        self.state.path = self.repository.shown(&path).display().to_string();
        self.state.link = Some(link(&path));
        self.state.view = View::Exercise;
        self.state.result = None;
        self.state.hints = 0;
        self.state.scroll = 0;
        self.file = Watched::new(path);
        self.look();
    }

    fn reset(&mut self) {
        self.state.notice = Some(match lesson::restart(&self.repository, self.state.exercise()) {
            Ok(Some(backup)) => {
                format!("back at the start; your answer is in {}", self.repository.shown(&backup).display())
            }
            Ok(None) => String::from("it is at its start already"),
            Err(stop) => stop.to_string(),
        });
        self.state.hints = 0;
        self.look();
    }

    /// Checks the file if it has changed. A check that is under way is for an old answer: it is cancelled.
    fn look(&mut self) {
        match self.file.look() {
            Glance::Same => {
                if let Some(checking) = &mut self.state.checking {
                    checking.seconds = self.began.elapsed().as_secs();
                }
            }
            Glance::Changed(bytes) => self.start(bytes),
            Glance::Lost => {
                self.abandon();
                let exercise = self.state.exercise();
                if let Err(stop) = self.repository.read(exercise, "exercise.rs") {
                    self.state.entries[self.state.selected].standing = standing(&self.repository, exercise);
                    self.state.failed(format!("{stop}, and so does the key x"));
                }
            }
        }
    }

    fn abandon(&mut self) {
        self.cancel.cancel();
        self.cancel = Cancel::default();
        self.check += 1;
        self.began = Instant::now();
    }

    fn start(&mut self, bytes: Vec<u8>) {
        // The first glance at an exercise is not the learner's doing.
        self.settling &= self.state.result.is_none();
        self.abandon();
        let exercise = self.state.exercise();
        let step = words(exercise.name, &Step::Building);
        self.state.checking = Some(Checking { step, seconds: 0 });
        let (number, sender, cancel) = (self.check, self.sender.clone(), self.cancel.clone());
        let repository = self.repository.clone();
        let answer = Answer { bytes, path: self.state.path.clone() };
        self.checks.retain(|check| !check.is_finished());
        self.checks.push(thread::spawn(move || {
            let content = Content::of(&repository, exercise, &answer.bytes);
            // A send fails only when the screen is gone.
            let result = judge(&repository, exercise, &answer, &cancel, &mut |step| {
                drop(sender.send(News::Step(number, step)));
            });
            if let Ok(report) = &result {
                Cache::new(&repository).put(exercise, content, report.verdict.kind, report.verdict.rule());
            }
            drop(sender.send(News::Done(number, Box::new(result))));
        }));
    }

    /// Lets the checks, which are cancelled, remove what they made; what takes long is left to the next check.
    fn finish(&self) {
        self.cancel.cancel();
        let deadline = Instant::now() + Duration::from_secs(3);
        while Instant::now() < deadline && self.checks.iter().any(|check| !check.is_finished()) {
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    fn hear(&mut self) {
        while let Ok(news) = self.news.try_recv() {
            match news {
                News::Step(number, step) if number == self.check => {
                    let step = words(self.state.exercise().name, &step);
                    self.state.checking = Some(Checking { step, seconds: self.began.elapsed().as_secs() });
                }
                News::Done(number, result) if number == self.check => match *result {
                    Ok(report) => self.judged(report),
                    Err(stop) => self.state.failed(stop.to_string()),
                },
                News::Step(..) | News::Done(..) => {}
            }
        }
    }

    fn judged(&mut self, report: Report) {
        let passed = report.verdict.is_pass();
        self.state.judged(report);
        if passed && self.settling {
            match self.state.next_unsolved() {
                Some(next) if next > self.state.selected => self.select(next),
                _ => self.settling = false,
            }
        } else {
            self.settling = false;
        }
    }

    /// Runs the example on the plain terminal. Ctrl-C ends the example and not us: it is in a process group of its own.
    fn run_example(&mut self, krate: &str, window: &mut Window) -> io::Result<()> {
        window.leave()?;
        let (path, args) = example::command(krate, &self.example());
        // The terminal may have another size than at the start.
        let columns = OsString::from(Style::of_stdout().width.to_string());
        let env = vec![("COLUMNS", columns)];
        let program = Program { path, args, folder: self.repository.root.clone(), env };
        let (open, closed) = closing();
        let ended = program
            .start(Stdio::inherit(), Stdio::inherit())
            .and_then(|running| running.wait(None, &self.interrupt, &closed));
        drop(open);
        self.interrupt.reset();
        let outcome = match ended {
            Ok(Ended::Exited(status)) if status.success() => String::from("the example has ended"),
            Ok(Ended::Exited(status)) => format!("the example has failed ({status})"),
            Ok(_) => String::from("the example was ended"),
            Err(stop) => stop.to_string(),
        };
        write!(io::stdout(), "\n-- {outcome}; press a key to go back --")?;
        io::stdout().flush()?;
        terminal::enable_raw_mode()?;
        while !self.quit.is_cancelled() {
            if event::poll(GLANCE)? && key(&event::read()?).is_some() {
                break;
            }
        }
        window.enter()
    }
}

/// The learner's file, and what was last seen of it.
struct Watched {
    path: PathBuf,
    stamp: Option<(SystemTime, u64)>,
    bytes: Option<Vec<u8>>,
    glances: u32,
    missing: u32,
}

enum Glance {
    Same,
    Changed(Vec<u8>),
    Lost,
}

impl Watched {
    fn new(path: PathBuf) -> Self {
        Self { path, stamp: None, bytes: None, glances: 0, missing: 0 }
    }

    fn look(&mut self) -> Glance {
        self.glances = self.glances.wrapping_add(1);
        let stamp = fs::metadata(&self.path).and_then(|data| Ok((data.modified()?, data.len()))).ok();
        if stamp.is_some() && stamp == self.stamp && !self.glances.is_multiple_of(THOROUGH) {
            return Glance::Same;
        }
        let Ok(bytes) = fs::read(&self.path) else {
            self.missing += 1;
            // At first sight nothing else is on the screen to wait for.
            if self.missing == PATIENCE || (self.bytes.is_none() && self.missing == 1) {
                self.bytes = None;
                return Glance::Lost;
            }
            return Glance::Same;
        };
        self.missing = 0;
        self.stamp = stamp;
        if self.bytes.as_ref() == Some(&bytes) {
            return Glance::Same;
        }
        self.bytes = Some(bytes.clone());
        Glance::Changed(bytes)
    }
}

/// The terminal, taken over. Dropping it gives it back, as does a panic of this thread.
struct Window {
    shown: Option<(Screen, (u16, u16))>,
}

impl Window {
    fn open() -> io::Result<Self> {
        let before = std::panic::take_hook();
        let screen = thread::current().id();
        std::panic::set_hook(Box::new(move |panic| {
            // A check's thread that panics leaves the screen alone.
            if thread::current().id() == screen {
                drop(give_back());
            }
            before(panic);
        }));
        let mut window = Self { shown: None };
        window.enter()?;
        Ok(window)
    }

    fn enter(&mut self) -> io::Result<()> {
        self.shown = None;
        terminal::enable_raw_mode()?;
        execute!(
            io::stdout(),
            terminal::EnterAlternateScreen,
            cursor::Hide,
            terminal::Clear(terminal::ClearType::All)
        )
    }

    fn leave(&mut self) -> io::Result<()> {
        give_back()
    }

    /// Draws the lines that differ from what is there, at once.
    fn draw(&mut self, screen: Screen, size: (u16, u16)) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let old = match &self.shown {
            Some((old, old_size)) if *old_size == size => Some(&old.lines),
            // Resized: nobody knows what is there now.
            _ => None,
        };
        if old == Some(&screen.lines) {
            return Ok(());
        }
        queue!(out, terminal::BeginSynchronizedUpdate)?;
        if old.is_none() {
            queue!(out, terminal::Clear(terminal::ClearType::All))?;
        }
        for (row, line) in (0..).zip(&screen.lines) {
            if old.and_then(|old| old.get(usize::from(row))) != Some(line) {
                // Cleared before: after a line that fills the row, clearing would take its last column.
                queue!(out, cursor::MoveTo(0, row), terminal::Clear(terminal::ClearType::CurrentLine))?;
                out.write_all(line.as_bytes())?;
                out.write_all(if line.contains('\x1b') { b"\x1b[0m" } else { b"" })?;
            }
        }
        queue!(out, terminal::EndSynchronizedUpdate)?;
        out.flush()?;
        drop(out);
        self.shown = Some((screen, size));
        Ok(())
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        drop(give_back());
    }
}

fn give_back() -> io::Result<()> {
    let left = execute!(io::stdout(), cursor::Show, terminal::LeaveAlternateScreen);
    terminal::disable_raw_mode().and(left)
}

fn key(event: &Event) -> Option<Key> {
    let Event::Key(KeyEvent { code, modifiers, kind, .. }) = event else {
        return None;
    };
    // Windows reports releases, too.
    if *kind == KeyEventKind::Release {
        return None;
    }
    Some(match code {
        KeyCode::Char('c' | 'd') if modifiers.contains(KeyModifiers::CONTROL) => Key::Interrupt,
        KeyCode::Char(_) if modifiers.contains(KeyModifiers::CONTROL) => return None,
        KeyCode::Char(char) => Key::Char(*char),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        _ => return None,
    })
}

/// Opens the exercise's page, or says where it is.
fn open_page(repository: &Repository, exercise: course::Exercise) -> String {
    let docs = repository.root.join("docs");
    let Some(page) = repository.page(exercise) else { return String::from("this exercise has no page") };
    let built = docs.join("book").join(exercise.chapter).join(&page).with_extension("html");
    if !built.is_file() {
        let source = docs.join("src").join(exercise.chapter).join(&page).with_extension("md");
        return format!(
            "the page: {} (the book is not built yet: `cargo run -p workshop --features book -- book` builds it)",
            repository.shown(&source).display()
        );
    }
    let shown = repository.shown(&built).display().to_string();
    match opener() {
        Some(mut opener) => {
            opener.arg(&built).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            match opener.spawn() {
                Ok(mut browser) => {
                    // Reaped whenever it ends.
                    thread::spawn(move || drop(browser.wait()));
                    format!("opened {shown}")
                }
                Err(_) => format!("the page: {shown}"),
            }
        }
        None => format!("the page: {shown}"),
    }
}

/// The system's program that opens a file as a double click would; none without a screen.
fn opener() -> Option<Command> {
    if cfg!(windows) {
        let mut command = Command::new("cmd");
        command.args(["/C", "start", ""]);
        return Some(command);
    }
    if cfg!(target_os = "macos") {
        return Some(Command::new("open"));
    }
    let screen = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| env::var_os(name).is_some());
    screen.then(|| Command::new("xdg-open"))
}

/// `file:` and the path, escaped.
fn link(path: &Path) -> String {
    let mut link = String::from("file://");
    let path = path.to_string_lossy().replace('\\', "/");
    if !path.starts_with('/') {
        link.push('/');
    }
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~:".contains(&byte) {
            link.push(char::from(byte));
        } else {
            link.push_str(&format!("%{byte:02X}"));
        }
    }
    link
}
