//! The page of all sections, of which each can be measured by itself.
//!
//! A section at full size takes up to hours. So each has a block of the page that says with which
//! arguments and which version of the engine it was measured, and measuring one leaves the others as they are.

use std::fmt;

use brownout_core::engine::ENGINE_VERSION;

use super::Section;
use super::board::Board;

/// What is written at the begin of a block, before the name of its section.
const MARK: &str = "<!-- section ";
const MARK_END: &str = " -->";

/// Blocks by section, in the order of [`Section::ALL`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    blocks: Vec<(Section, String)>,
}

impl Page {
    /// The blocks of a page that was written before; whatever else is in it is left out.
    pub fn parse(text: &str) -> Self {
        let mut page = Page::default();
        for part in text.split(MARK).skip(1) {
            let Some((name, block)) = part.split_once(MARK_END) else { continue };
            if let Some(section) = Section::ALL.iter().find(|section| section.name() == name) {
                page.put(*section, block.trim().to_owned());
            }
        }
        page
    }

    /// Puts what was measured in the place of what was there. `arguments` are those that measured it, as
    /// they would be typed.
    pub fn set(&mut self, section: Section, arguments: &str, board: &Board) {
        let command = format!("cargo run --release -p brownout-lab -- scoreboard {arguments}");
        let block = format!(
            "## {}\n\n```\n{}\n```\n\nEngine {ENGINE_VERSION}.\n\n{board}",
            section.title(),
            command.trim()
        );
        self.put(section, block.trim().to_owned());
    }

    fn put(&mut self, section: Section, block: String) {
        self.blocks.retain(|(known, _)| *known != section);
        self.blocks.push((section, block));
        self.blocks.sort_by_key(|(known, _)| Section::ALL.iter().position(|one| one == known));
    }
}

/// How many bars of a block are met, and how many it has.
fn met(block: &str) -> (usize, usize) {
    let count = |end: &str| block.lines().filter(|line| line.ends_with(end)).count();
    let (yes, no) = (count(" | yes |"), count(" | **no** |"));
    (yes, yes + no)
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "# Scoreboard\n\nMade by a command, from seeds; each section names its own, and the same command gives \
             the same figures (but for the speed, which depends on the machine). Without the name of a section \
             it measures all.\n"
        )?;
        writeln!(f, "| section | bars met |\n|---|---|")?;
        for section in Section::ALL {
            let block = self.blocks.iter().find(|(known, _)| known == section);
            let words = match block.map(|(_, block)| met(block)) {
                None => "not measured".to_owned(),
                Some((_, 0)) => "none to be met".to_owned(),
                Some((yes, all)) => format!("{yes} of {all}"),
            };
            writeln!(f, "| {} | {words} |", section.title())?;
        }
        for (section, block) in &self.blocks {
            writeln!(f, "\n{MARK}{}{MARK_END}\n{block}", section.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(met: bool) -> Board {
        let mut board = Board::default();
        board.bar("false calls", "0.1", "under 1", met);
        board
    }

    #[test]
    fn what_is_measured_anew_leaves_the_other_sections_as_they_are() {
        let mut page = Page::default();
        page.set(Section::Promise, "promise --threads 2", &board(true));
        page.set(Section::Nab, "nab", &board(false));
        let text = page.to_string();
        assert!(text.contains("| Real series with labels | 0 of 1 |"), "{text}");
        assert!(text.contains("| The promise | 1 of 1 |"), "{text}");
        assert!(text.contains("| Daily counts | not measured |"), "{text}");
        let mut again = Page::parse(&text);
        assert_eq!(again, page);
        again.set(Section::Nab, "nab --seed 3", &board(true));
        let text = again.to_string();
        assert!(
            text.contains("scoreboard promise --threads 2\n") && text.contains("scoreboard nab --seed 3\n")
        );
        assert!(!text.contains("0 of 1"), "{text}");
        // In the order of the sections, whichever was measured first.
        assert!(text.find("section nab") < text.find("section promise"));
    }

    #[test]
    fn what_is_no_page_has_no_sections() {
        for text in ["", "# Scoreboard\n\nold", "<!-- section nobody -->\nx", "<!-- section nab"] {
            assert_eq!(Page::parse(text), Page::default(), "{text}");
        }
    }
}
