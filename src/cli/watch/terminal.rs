//! The terminal itself: taken while the board is shown, given back whatever happens.

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute};
use std::io::{self, BufWriter, Stdout};
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long the thread that reads keys looks before it sees whether it is still wanted.
const LOOK: Duration = Duration::from_millis(200);

/// Keys that wait; a person types fewer, a pasted file is cut.
const KEYS: usize = 64;

/// A drawing is written at once, so that nobody sees half of it: a whole large screen, in bytes.
const DRAWING: usize = 64 << 10;

/// What a person did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// A key.
    Key(Key),
    /// The terminal has another size.
    Resized,
}

/// A key that means something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Enter,
    Back,
    Erase,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Next,
    Quit,
}

/// The screen, with the terminal behind it. Dropping it gives the terminal back.
pub(super) struct Screen {
    pub(super) terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    reading: Arc<AtomicBool>,
}

impl Screen {
    /// Takes the terminal, and reads its keys.
    ///
    /// # Errors
    /// It is no terminal, or cannot be set up.
    pub(super) fn open() -> io::Result<(Self, mpsc::Receiver<Input>)> {
        static HOOK: Once = Once::new();
        HOOK.call_once(restore_on_panic);
        let reading = Arc::new(AtomicBool::new(true));
        enable_raw_mode()?;
        // From here on it is given back, also if the rest fails.
        let shown = || {
            execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)?;
            let out = BufWriter::with_capacity(DRAWING, io::stdout());
            let mut terminal = Terminal::new(CrosstermBackend::new(out))?;
            terminal.clear()?;
            Ok(terminal)
        };
        let screen = match shown() {
            Ok(terminal) => Self { terminal, reading: reading.clone() },
            Err(error) => {
                give_back();
                return Err(error);
            }
        };
        let (sender, inputs) = mpsc::channel(KEYS);
        std::thread::Builder::new().name("keys".into()).spawn(move || read_keys(&reading, &sender))?;
        Ok((screen, inputs))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.reading.store(false, Ordering::Relaxed);
        give_back();
    }
}

/// Nothing is left to do if a terminal that is gone cannot be given back.
fn give_back() {
    let _ = execute!(io::stdout(), LeaveAlternateScreen, cursor::Show);
    let _ = disable_raw_mode();
}

/// A panic is told on the terminal as it was, not on the board.
fn restore_on_panic() {
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        give_back();
        told(panic);
    }));
}

fn read_keys(reading: &AtomicBool, sender: &mpsc::Sender<Input>) {
    while reading.load(Ordering::Relaxed) && !sender.is_closed() {
        let read = match event::poll(LOOK) {
            Ok(false) => continue,
            Ok(true) => event::read(),
            Err(error) => Err(error),
        };
        // A terminal that is gone types no more: SIGHUP ends the board.
        let Ok(read) = read else { return };
        if let Some(input) = input(&read) {
            // A full queue is a person who leans on a key.
            let _ = sender.try_send(input);
        }
    }
}

fn input(event: &Event) -> Option<Input> {
    match event {
        Event::Resize(..) => Some(Input::Resized),
        Event::Key(pressed) if pressed.kind != KeyEventKind::Release => key(pressed).map(Input::Key),
        _ => None,
    }
}

fn key(pressed: &KeyEvent) -> Option<Key> {
    let control = pressed.modifiers.contains(KeyModifiers::CONTROL);
    if pressed.modifiers.contains(KeyModifiers::ALT) {
        return None;
    }
    Some(match pressed.code {
        KeyCode::Char('c' | 'd') if control => Key::Quit,
        KeyCode::Char('n') if control => Key::Down,
        KeyCode::Char('p') if control => Key::Up,
        KeyCode::Char(_) if control => return None,
        KeyCode::Char(letter) => Key::Char(letter),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc | KeyCode::Left => Key::Back,
        KeyCode::Right => Key::Enter,
        KeyCode::Backspace => Key::Erase,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::First,
        KeyCode::End => Key::Last,
        KeyCode::Tab => Key::Next,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Run by the test below, in a terminal.
    #[tokio::test]
    #[ignore = "panics on purpose"]
    async fn a_panic_on_purpose() {
        let _screen = Screen::open().unwrap();
        panic!("on purpose");
    }

    #[test]
    #[allow(clippy::disallowed_methods)] // a real terminal lives in real time
    fn a_panic_is_told_on_the_terminal_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let tmux = |args: &[&str]| {
            let mut command = Command::new("tmux");
            command.arg("-S").arg(folder.path().join("tty")).args(["-f", "/dev/null"]).args(args).output()
        };
        let this = std::env::current_exe().unwrap();
        let command = format!(
            "echo before; RUST_BACKTRACE=0 '{}' --ignored --exact cli::watch::terminal::tests::a_panic_on_purpose; stty -a; sleep 100",
            this.display()
        );
        let begun = tmux(&["new-session", "-d", "-x", "120", "-y", "60", &command]);
        if !begun.is_ok_and(|done| done.status.success()) {
            return println!("SKIPPED: there is no tmux");
        }
        let mut screen = String::new();
        for _ in 0..400 {
            screen = String::from_utf8(tmux(&["capture-pane", "-p"]).unwrap().stdout).unwrap();
            if screen.contains("icanon") {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = tmux(&["kill-server"]);
        assert!(screen.contains("before") && screen.contains("on purpose"), "{screen}");
        assert!(screen.contains(" icanon ") && screen.contains(" echo "), "{screen}");
    }
}
