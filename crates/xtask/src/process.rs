//! Running other programs: each command is printed before it runs, so that a reader of the log can
//! repeat it by hand.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// Prints `command` and runs it; what it writes, errors included, goes to stdout unfiltered.
///
/// One stream keeps the order of a log that is sent to a file.
pub fn run(command: &mut Command) -> Result<()> {
    let line = describe(command);
    println!("  $ {line}");
    io::stdout().flush()?;
    let status = command
        .stderr(Stdio::from(io::stdout()))
        .status()
        .with_context(|| format!("can't start `{line}`"))?;
    ensure!(status.success(), "`{line}` ended with {status}");
    Ok(())
}

/// Prints `command` and runs it; what it writes is shown only when it fails.
///
/// For installers, which write hundreds of lines that nobody reads.
pub fn run_quietly(command: &mut Command) -> Result<()> {
    let line = describe(command);
    println!("  $ {line}");
    let output = command
        .output()
        .with_context(|| format!("can't start `{line}`"))?;
    if !output.status.success() {
        io::stdout().write_all(&output.stdout)?;
        io::stdout().write_all(&output.stderr)?;
        bail!("`{line}` ended with {}", output.status);
    }
    Ok(())
}

/// Runs `command` unseen and returns its stdout.
pub fn read(command: &mut Command) -> Result<String> {
    let line = describe(command);
    let output = command
        .output()
        .with_context(|| format!("can't start `{line}`"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{line}` ended with {}: {}",
            output.status,
            last_line(&errors)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether `command` can be started and ends well; nothing is printed.
pub fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs `command` unseen for at most `limit`: for network access that may never answer.
pub fn succeeds_within(command: &mut Command, limit: Duration) -> Result<()> {
    let line = describe(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("can't start `{line}`"))?;
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            ensure!(status.success(), "`{line}` ended with {status}");
            return Ok(());
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            bail!("`{line}` gave no answer in {} s", limit.as_secs());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// The command as a shell line, with the variables set for it in front.
fn describe(command: &Command) -> String {
    let mut line = String::new();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            let value = quote(&value.to_string_lossy());
            // Writing to a String can't fail.
            let _ = write!(line, "{}={value} ", name.to_string_lossy());
        }
    }
    line.push_str(&quote(&command.get_program().to_string_lossy()));
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&quote(&argument.to_string_lossy()));
    }
    line
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:@+%\\".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn last_line(text: &str) -> &str {
    text.lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_described_command_can_be_pasted_into_a_shell() {
        let mut command = Command::new("cargo");
        command
            .env("RUSTDOCFLAGS", "-D warnings")
            .args(["doc", "it's"]);
        assert_eq!(
            describe(&command),
            r"RUSTDOCFLAGS='-D warnings' cargo doc 'it'\''s'"
        );
    }

    #[test]
    fn the_last_line_skips_blank_ones() {
        assert_eq!(last_line("one\ntwo\n\n"), "two");
        assert_eq!(last_line(""), "no message");
    }
}
