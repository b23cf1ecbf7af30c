//! Kernel modules: which ones are needed, what each depends on, and in which order they load.

use std::collections::{BTreeMap, BTreeSet};

/// Modules a microVM needs, besides what they depend on.
pub const MICROVM_MODULES: [&str; 7] = [
    "virtio_mmio",
    "virtio_blk",
    "virtio_console",
    "virtio_rng",
    "virtio_net",
    "erofs",
    "overlay",
];

/// Modules of a microVM that mounts folders of the host's, besides what they depend on.
pub const FOLDER_MODULES: [&str; 1] = ["nfsv3"];

/// Modules with which a guest is itself a host of virtual machines.
pub const NESTED_KVM_MODULES: [&str; 3] = ["kvm", "kvm_amd", "kvm_intel"];

/// The name under which the kernel knows a module: of its file, without ending and with underscores.
pub(super) fn canonical_name(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.split(".ko").next().unwrap_or(name).replace('-', "_")
}

/// The modules that `module` names in the `depends=` field of its `.modinfo` section. `None` when it is no module
/// for a 64-bit little-endian machine.
pub(super) fn dependencies(module: &[u8]) -> Option<Vec<String>> {
    let info = section(module, b".modinfo")?;
    let names = info
        .split(|byte| *byte == 0)
        .find_map(|field| field.strip_prefix(b"depends="))?;
    let names = String::from_utf8_lossy(names);
    Some(
        names
            .split(',')
            .filter(|name| !name.is_empty())
            .map(canonical_name)
            .collect(),
    )
}

/// `wanted` and everything they need, each after what it needs. Built-in modules need no loading; `Err` names a
/// module that is nowhere.
pub(super) fn load_order(
    wanted: &[&str],
    dependencies: &BTreeMap<String, Vec<String>>,
    built_in: &BTreeSet<String>,
) -> Result<Vec<String>, String> {
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    // A module is pushed twice: to be expanded, and to be listed once what it needs has been.
    let mut ahead: Vec<(String, bool)> = wanted
        .iter()
        .rev()
        .map(|name| (canonical_name(name), false))
        .collect();
    while let Some((name, expanded)) = ahead.pop() {
        if expanded {
            order.push(name);
            continue;
        }
        if built_in.contains(&name) || !seen.insert(name.clone()) {
            continue;
        }
        let needed = dependencies.get(&name).ok_or_else(|| name.clone())?;
        ahead.push((name, true));
        ahead.extend(needed.iter().rev().map(|needed| (needed.clone(), false)));
    }
    Ok(order)
}

/// A section of an ELF64 little-endian file by its name.
fn section<'a>(elf: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    const SECTION_TABLE_OFFSET: usize = 0x28;
    const SECTION_COUNT: usize = 0x3c;
    const NAMES_INDEX: usize = 0x3e;
    const SECTION_HEADER: usize = 64;
    if !elf.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let u16_at = |at: usize| {
        Some(usize::from(u16::from_le_bytes(
            elf.get(at..at + 2)?.try_into().ok()?,
        )))
    };
    let u64_at = |at: usize| {
        let bytes = elf.get(at..at.checked_add(8)?)?;
        usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let table = u64_at(SECTION_TABLE_OFFSET)?;
    let header = |index: usize| table.checked_add(index * SECTION_HEADER);
    let contents = |header: usize| {
        let start = u64_at(header.checked_add(0x18)?)?;
        elf.get(start..start.checked_add(u64_at(header.checked_add(0x20)?)?)?)
    };
    let names = contents(header(u16_at(NAMES_INDEX)?)?)?;
    (0..u16_at(SECTION_COUNT)?).filter_map(header).find_map(|header| {
        let name = u32::from_le_bytes(elf.get(header..header.checked_add(4)?)?.try_into().ok()?);
        let name = names.get(usize::try_from(name).ok()?..)?;
        (name.strip_prefix(wanted)?.first() == Some(&0))
            .then(|| contents(header))
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph() -> BTreeMap<String, Vec<String>> {
        [
            ("net", vec!["failover", "ring"]),
            ("failover", vec![]),
            ("ring", vec![]),
            ("a", vec!["b"]),
            ("b", vec!["a"]),
        ]
        .into_iter()
        .map(|(name, needs)| (name.to_owned(), needs.into_iter().map(str::to_owned).collect()))
        .collect()
    }

    #[test]
    fn modules_load_after_what_they_need_and_once() {
        let built_in = BTreeSet::from(["ring".to_owned()]);
        let order = load_order(&["failover", "net"], &graph(), &built_in).unwrap();
        assert_eq!(order, ["failover", "net"]);
        let order = load_order(&["net"], &graph(), &BTreeSet::new()).unwrap();
        assert_eq!(order, ["failover", "ring", "net"]);
        assert_eq!(
            load_order(&["net", "nowhere"], &graph(), &built_in),
            Err("nowhere".to_owned())
        );
    }

    #[test]
    fn modules_that_need_each_other_end_the_search() {
        assert_eq!(
            load_order(&["a"], &graph(), &BTreeSet::new()).unwrap(),
            ["b", "a"]
        );
    }

    #[test]
    fn file_names_become_module_names() {
        assert_eq!(
            canonical_name("kernel/drivers/char/hw_random/virtio-rng.ko.xz"),
            "virtio_rng"
        );
    }

    proptest::proptest! {
        #[test]
        fn garbage_does_not_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..512)) {
            let mut elf = b"\x7fELF\x02\x01".to_vec();
            elf.extend(bytes);
            drop(dependencies(&elf));
        }
    }
}
