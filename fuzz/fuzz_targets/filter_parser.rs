//! libFuzzer's way to [`vecstore_fuzz::filter_parser`].

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vecstore_fuzz::filter_parser(bytes));

/// In an ordinary build: runs the property on the files named on the command line, so that an input
/// that cargo-fuzz found can be looked at in a debugger.
#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    std::env::args_os().skip(1).try_for_each(|path| {
        vecstore_fuzz::filter_parser(&std::fs::read(path)?);
        Ok(())
    })
}
