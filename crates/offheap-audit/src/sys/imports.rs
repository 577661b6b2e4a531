//! The import tables of loaded objects: where an object keeps the addresses of the functions that it calls in others.

use std::collections::HashSet;
use std::ffi::{CStr, c_char};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::c::{self, PROT_READ, PROT_WRITE, PT_DYNAMIC, PT_GNU_RELRO};
use super::objects::{self, Object};

/// A function whose slots are pointed at another one.
#[derive(Clone, Copy)]
pub(super) struct Replaced {
    pub(super) name: &'static CStr,
    /// What the slots hold, where they are bound.
    pub(super) real: usize,
    pub(super) by: usize,
}

const PAGE: usize = 4096;

// Entries of the dynamic section.
const DT_PLTRELSZ: usize = 2;
const DT_STRTAB: usize = 5;
const DT_SYMTAB: usize = 6;
const DT_RELA: usize = 7;
const DT_RELASZ: usize = 8;
const DT_JMPREL: usize = 23;
const KEPT: usize = DT_JMPREL + 1;

// Relocations that put the address of a function into a slot.
const R_X86_64_64: u32 = 1;
const R_X86_64_GLOB_DAT: u32 = 6;
const R_X86_64_JUMP_SLOT: u32 = 7;

/// `Elf64_Rela`
#[repr(C)]
struct Relocation {
    offset: usize,
    kind: u32,
    symbol: u32,
    addend: i64,
}

/// `Elf64_Sym`
#[repr(C)]
struct Symbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    value: usize,
    byte_length: usize,
}

/// Points the slots of every object that was not looked at before. `skip` is the host, which calls its own functions.
pub(super) fn replace_in_new_objects(replaced: &[Replaced], skip: usize) {
    objects::each_object(&mut |object| {
        if is_new(object) && !object.range().contains(&skip) {
            replace(object, replaced);
        }
        true
    });
}

/// Points the slots of the object at this address.
pub(super) fn replace_in_object_of(address: usize, replaced: &[Replaced]) {
    objects::each_object(&mut |object| {
        let is_it = object.range().contains(&address);
        if is_it {
            replace(object, replaced);
        }
        !is_it
    });
}

/// Whether an object was not here when this was asked before. After an unload all are new: another object may be where an
/// unloaded one was, and to look twice changes nothing.
fn is_new(object: &Object<'_>) -> bool {
    static SEEN: Mutex<(u64, Option<HashSet<usize>>)> = Mutex::new((0, None));
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    if seen.0 != object.unloads {
        *seen = (object.unloads, None);
    }
    seen.1.get_or_insert_default().insert(object.headers.as_ptr() as usize)
}

fn replace(object: &Object<'_>, replaced: &[Replaced]) {
    // One thread changes the protection of pages at a time.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);

    let Some(tables) = Tables::of(object) else { return };
    let range = object.range();
    for relocation in tables.relocations() {
        if !matches!(relocation.kind, R_X86_64_64 | R_X86_64_GLOB_DAT | R_X86_64_JUMP_SLOT) || relocation.addend != 0 {
            continue;
        }
        let Some(name) = tables.import(relocation.symbol) else { continue };
        let Some(function) = replaced.iter().find(|function| function.name == name) else { continue };
        let slot = object.base + relocation.offset;
        if !range.contains(&slot) || !slot.is_multiple_of(size_of::<usize>()) {
            continue;
        }
        // SAFETY: I-SLOTS, the loader wrote an address here for this relocation. Others read it at any time, as we do: whole.
        let slot = unsafe { &*(slot as *const AtomicUsize) };
        let value = slot.load(Ordering::Relaxed);
        // A slot that was not used yet leads to a part of the object itself, which would bind it.
        if value == function.real || range.contains(&value) {
            write(object, slot, function.by);
        }
    }
}

/// Writes a slot. Slots of an object that was bound at once are read-only, before this and after.
fn write(object: &Object<'_>, slot: &AtomicUsize, value: usize) {
    let address = std::ptr::from_ref(slot) as usize;
    let page = address & !(PAGE - 1);
    // The loader makes these pages read-only, from the one in which the segment begins to the last that is whole.
    let is_read_only = object.segment(PT_GNU_RELRO).is_some_and(|part| {
        let pages = part.start & !(PAGE - 1)..part.end & !(PAGE - 1);
        pages.contains(&page)
    });
    let protect = |protection| {
        // SAFETY: I-SLOTS, the page is one of the object's data, which was writable when the loader bound it.
        unsafe { c::mprotect(page as *mut _, PAGE, protection) == 0 }
    };
    if !is_read_only || protect(PROT_READ | PROT_WRITE) {
        slot.store(value, Ordering::Relaxed);
    }
    if is_read_only {
        protect(PROT_READ);
    }
}

/// The tables that the loader reads to bind an object.
struct Tables<'a> {
    relocations: [&'a [Relocation]; 2],
    symbols: *const Symbol,
    strings: *const c_char,
}

impl<'a> Tables<'a> {
    fn of(object: &'a Object<'_>) -> Option<Self> {
        let entries = entries(object)?;
        let address = |value: usize| match value {
            0 => None,
            // The loader moved the addresses in this table, where it may write it.
            value if value < object.base => Some(value + object.base),
            value => Some(value),
        };
        let table = |start: usize, byte_length: usize| match address(start) {
            Some(start) if start.is_multiple_of(align_of::<Relocation>()) => {
                let count = byte_length / size_of::<Relocation>();
                // SAFETY: I-SLOTS, the object's own entries say where the table is, and how long.
                unsafe { std::slice::from_raw_parts(start as *const Relocation, count) }
            }
            _ => &[],
        };
        Some(Tables {
            relocations: [table(entries[DT_RELA], entries[DT_RELASZ]), table(entries[DT_JMPREL], entries[DT_PLTRELSZ])],
            symbols: address(entries[DT_SYMTAB])? as *const Symbol,
            strings: address(entries[DT_STRTAB])? as *const c_char,
        })
    }

    fn relocations(&self) -> impl Iterator<Item = &'a Relocation> {
        self.relocations.into_iter().flatten()
    }

    /// The name of a symbol that another object defines.
    fn import(&self, index: u32) -> Option<&'a CStr> {
        if index == 0 {
            return None;
        }
        // SAFETY: I-SLOTS, a relocation of this object has the index, so the table is longer.
        let symbol = unsafe { self.symbols.add(index as usize) };
        // SAFETY: I-SLOTS, the loader has read this entry to bind the relocation.
        let symbol = unsafe { &*symbol };
        if symbol.section != 0 {
            return None;
        }
        // SAFETY: I-SLOTS, the symbol's name begins here in the table of strings.
        let name = unsafe { self.strings.add(symbol.name as usize) };
        // SAFETY: I-SLOTS, names in this table are C strings.
        Some(unsafe { CStr::from_ptr(name) })
    }
}

/// The values of the entries of the dynamic section, by their tags.
fn entries(object: &Object<'_>) -> Option<[usize; KEPT]> {
    let Range { start, end } = object.segment(PT_DYNAMIC)?;
    let count = (end - start) / size_of::<[usize; 2]>();
    // SAFETY: I-SLOTS, the object's headers say where its dynamic section is, and it stays mapped.
    let section = unsafe { std::slice::from_raw_parts(start as *const [usize; 2], count) };
    let mut entries = [0; KEPT];
    for &[tag, value] in section.iter().take_while(|entry| entry[0] != 0) {
        if let Some(entry) = entries.get_mut(tag) {
            *entry = value;
        }
    }
    Some(entries)
}

#[cfg(test)]
mod tests;
