// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Trees for scripts: `tree_tool make FOLDER [CHAIN]` builds the tree with everything that Linux can hold, a chain of
//! so many folders in it; `tree_tool compare ONE OTHER` says how two trees differ and ends with 1 when they do.

use std::{path::Path, process::ExitCode};

use anyhow::Context;
use duplicati_testkit::{FidelityOptions, compare_trees, fidelity_tree};

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
    match words.iter().map(AsRef::as_ref).collect::<Vec<_>>()[..] {
        ["make", _] => make(Path::new(&arguments[1]), &FidelityOptions::default()),
        ["make", _, chain] => {
            let options = FidelityOptions {
                chain_folders: chain.parse().context("CHAIN is a number of folders")?,
                ..FidelityOptions::default()
            };
            make(Path::new(&arguments[1]), &options)
        }
        ["compare", _, _] => {
            let differences = compare_trees(Path::new(&arguments[1]), Path::new(&arguments[2]));
            differences
                .iter()
                .take(50)
                .for_each(|difference| println!("{difference}"));
            Ok(ExitCode::from(u8::from(!differences.is_empty())))
        }
        _ => anyhow::bail!("tree_tool make FOLDER [CHAIN], or tree_tool compare ONE OTHER"),
    }
}

fn make(folder: &Path, options: &FidelityOptions) -> anyhow::Result<ExitCode> {
    let report = fidelity_tree(folder, options)?;
    report
        .skipped
        .iter()
        .for_each(|skipped| println!("not possible here: {skipped}"));
    Ok(ExitCode::SUCCESS)
}
