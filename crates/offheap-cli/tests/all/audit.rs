//! `offheap audit` of programs that are no JavaScript hosts: the compiler makes one with functions of Node-API's names. Real
//! hosts are in `crates/offheap-audit/tests/run.mjs`.

use std::fs;
use std::process::Command;

use crate::common::{Folder, QUICKJS, Ran, offheap};

const NOTHING: &str = "offheap: nothing was followed: no process with Node-API ran. Programs that are statically linked, that run as another user, or that are started without LD_PRELOAD are not seen\n";

/// A host that has Node-API's function, and calls each finalizer at once where `FINALIZES` is set.
const HOST: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
typedef void (*Finalize)(void *, void *, void *);
static struct { Finalize finalize; void *data, *hint; } buffers[9];
static int count;
int napi_create_external_arraybuffer(void *env, void *data, size_t length, Finalize finalize, void *hint, void **result) {
  (void)env, (void)length;
  buffers[count].finalize = finalize; buffers[count].data = data; buffers[count].hint = hint;
  *result = &buffers[count++];
  return getenv("REFUSES") ? 22 : 0;
}
int main(int count_of, char **arguments) {
  (void)count_of;
  void *addon = dlopen(arguments[1], RTLD_NOW);
  if (!addon) { puts(dlerror()); return 9; }
  int (*make)(void) = (int (*)(void))dlsym(addon, "make");
  int status = make();
  if (getenv("FINALIZES")) for (int time = 0; time < atoi(getenv("FINALIZES")); time++)
    for (int i = 0; i < count; i++) buffers[i].finalize(0, buffers[i].data, buffers[i].hint);
  return status;
}
"#;

const ADDON: &str = r#"
#include <stdio.h>
#include <stdlib.h>
int napi_create_external_arraybuffer(void *, void *, size_t, void (*)(void *, void *, void *), void *, void **);
static void finalize(void *env, void *data, void *hint) { (void)env; printf("%s\n", (char *)hint); free(data); }
int make(void) { void *result = 0; return napi_create_external_arraybuffer(0, malloc(100), 100, finalize, "finalized", &result); }
"#;

struct Audit {
    folder: Folder,
}

impl Audit {
    fn new() -> Self {
        let folder = Folder::new(QUICKJS);
        let compile = |name: &str, source: &str, options: &[&str]| {
            let source = folder.write(&format!("{name}.c"), source);
            let mut compiler = Command::new("cc");
            compiler.args(options).arg(source).arg("-o").arg(folder.path(name));
            assert!(compiler.status().unwrap().success());
        };
        compile("host", HOST, &["-rdynamic", "-ldl"]);
        compile("addon.node", ADDON, &["-shared", "-fPIC"]);
        Audit { folder }
    }

    fn run(&self, variables: &[(&str, &str)]) -> Ran {
        let mut command = offheap();
        command.args(["audit", "-o", "a.jsonl", "--", "./host", "./addon.node"]).current_dir(self.folder.path("."));
        Ran::of(QUICKJS, command.envs(variables.iter().copied()))
    }
}

#[test]
fn a_program_that_is_no_host() {
    let folder = Folder::new(QUICKJS);
    folder.offheap(&["audit", "--", "echo", "hello", "-o", "x"]).expect(0, "hello -o x\n", NOTHING);
    folder.offheap(&["audit", "false"]).expect(1, "", NOTHING);
    folder.offheap(&["audit", "sh", "-c", "kill -TERM $$"]).expect(143, "", NOTHING);
}

#[test]
fn what_cannot_be_started_or_written() {
    let folder = Folder::new(QUICKJS);
    let refused =
        |arguments: &[&str], said: &str| folder.offheap(arguments).expect(2, "", &format!("offheap: {said}\n"));
    refused(
        &["audit", "./missing"],
        "cannot start ./missing: No such file or directory (os error 2); check the name and the permissions",
    );
    refused(
        &["audit", "-o", "missing/a.jsonl", "true"],
        "cannot write the report to missing/a.jsonl: No such file or directory (os error 2); check the name and the \
         permissions, or name another file with --output",
    );
    refused(&["audit", "--report", "a.pdf", "true"], "cannot write the page a.pdf: its name must end with .html");
}

#[test]
fn a_buffer_that_lives_to_the_end() {
    let audit = Audit::new();
    audit.run(&[]).expect(
        0,
        "",
        "offheap: alive at the end: 100 B in 1 buffer of addon.node, made at an unknown place\n\
         offheap: 1 external buffer of 1 addon, 100 B in all; 1 alive at the end (100 B), 0 errors, 0 notices\n",
    );
    let stream = fs::read_to_string(audit.folder.path("a.jsonl")).unwrap();
    assert!(stream.contains(r#""event":"end""#) && stream.contains(r#""leaks":false"#), "{stream}");
}

#[test]
fn a_finalizer_is_called_with_the_addons_own_arguments() {
    let said = "offheap: 1 external buffer of 1 addon, 100 B in all; 0 alive at the end, 0 errors, 0 notices\n";
    Audit::new().run(&[("FINALIZES", "1")]).expect(0, "finalized\n", said);
}

#[test]
fn a_host_that_calls_a_finalizer_twice() {
    let said = "offheap: error[FINALIZED_TWICE]: the finalizer of external buffer 1 was called twice by the host; the second call was left out\n\
                offheap: 1 external buffer of 1 addon, 100 B in all; 0 alive at the end, 1 error, 0 notices\n";
    Audit::new().run(&[("FINALIZES", "2")]).expect(3, "finalized\n", said);
}

#[test]
fn a_host_that_allows_no_external_memory() {
    let said = "offheap: 0 external buffers of 0 addons, 0 B in all; 0 alive at the end, 0 errors, 0 notices\n";
    Audit::new().run(&[("REFUSES", "1")]).expect(22, "", said);
}
