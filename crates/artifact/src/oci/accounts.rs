//! Whom an image's agent runs as, from the image's `USER` and its own list of accounts. Pure.
//!
//! The rules are Docker's: a user without a group takes the group and the further groups of its account; a number
//! needs no account; a name does. Without a `USER` it is root.

/// Whom the agent runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Further groups.
    pub(super) groups: Vec<u32>,
    pub(super) home: String,
}

/// A `USER` that the image does not know.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum AccountError {
    #[error("the image's USER is {0:?}, but its /etc/passwd has no such user; use a number, or add the user")]
    NoUser(String),
    #[error(
        "the image's USER names the group {0:?}, but its /etc/group has no such group; use a number, or add the group"
    )]
    NoGroup(String),
}

/// A line of `/etc/passwd`.
struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// A line of `/etc/group`.
struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

/// Finds out whom `wanted` means, in the form of `USER`.
pub(super) fn resolve(wanted: &str, passwd: &str, group: &str) -> Result<Account, AccountError> {
    let (user_text, group_text) = match wanted.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (wanted, None),
    };
    let user_text = if user_text.is_empty() { "0" } else { user_text };
    let number: Option<u32> = user_text.parse().ok();
    let user = passwd
        .lines()
        .filter_map(user)
        .find(|user| user.name == user_text || Some(user.uid) == number);
    let uid = user.as_ref().map(|user| user.uid).or(number);
    let uid = uid.ok_or_else(|| AccountError::NoUser(user_text.to_owned()))?;
    let (gid, groups) = match group_text {
        Some(text) => (group_id(text, group)?, Vec::new()),
        None => (
            user.as_ref().map_or(0, |user| user.gid),
            user.as_ref()
                .map_or_else(Vec::new, |user| memberships(user, group)),
        ),
    };
    let home = user.as_ref().map_or("", |user| user.home);
    Ok(Account {
        uid,
        gid,
        groups,
        home: if home.is_empty() { "/" } else { home }.to_owned(),
    })
}

fn group_id(text: &str, list: &str) -> Result<u32, AccountError> {
    let number: Option<u32> = text.parse().ok();
    let found = list
        .lines()
        .filter_map(group)
        .find(|group| group.name == text || Some(group.gid) == number);
    found
        .map(|group| group.gid)
        .or(number)
        .ok_or_else(|| AccountError::NoGroup(text.to_owned()))
}

fn memberships(user: &User<'_>, list: &str) -> Vec<u32> {
    list.lines()
        .filter_map(group)
        .filter(|group| group.gid != user.gid && group.members.split(',').any(|member| member == user.name))
        .map(|group| group.gid)
        .collect()
}

fn user(line: &str) -> Option<User<'_>> {
    let mut fields = line.split(':');
    let (name, _, uid, gid) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    Some(User {
        name,
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        home: fields.nth(1).unwrap_or_default(),
    })
}

fn group(line: &str) -> Option<Group<'_>> {
    let mut fields = line.split(':');
    let (name, _, gid) = (fields.next()?, fields.next()?, fields.next()?);
    Some(Group {
        name,
        gid: gid.parse().ok()?,
        members: fields.next().unwrap_or_default().trim_end(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\n# odd line\nann:x:1001:100:Ann:/home/ann:/bin/sh\nbob:x:1002:101::\n";
    const GROUP: &str = "root:x:0:\nusers:x:100:ann\nstaff:x:50:bob,ann\n";

    fn ids(wanted: &str) -> (u32, u32, Vec<u32>, String) {
        let account = resolve(wanted, PASSWD, GROUP).unwrap();
        (account.uid, account.gid, account.groups, account.home)
    }

    #[test]
    fn names_and_numbers_mean_what_docker_makes_of_them() {
        assert_eq!(ids(""), (0, 0, vec![], "/root".to_owned()));
        assert_eq!(ids("ann"), (1001, 100, vec![50], "/home/ann".to_owned()));
        assert_eq!(ids("1001"), (1001, 100, vec![50], "/home/ann".to_owned()));
        assert_eq!(ids("ann:staff"), (1001, 50, vec![], "/home/ann".to_owned()));
        assert_eq!(ids("bob:7"), (1002, 7, vec![], "/".to_owned()));
        assert_eq!(ids("65532"), (65532, 0, vec![], "/".to_owned()));
        assert_eq!(ids("65532:65532"), (65532, 65532, vec![], "/".to_owned()));
        let nobody = resolve("carl", PASSWD, GROUP);
        assert_eq!(nobody, Err(AccountError::NoUser("carl".to_owned())));
        let no_group = resolve("ann:crew", PASSWD, GROUP);
        assert_eq!(no_group, Err(AccountError::NoGroup("crew".to_owned())));
    }

    proptest! {
        #[test]
        fn any_lists_are_read(wanted in ".{0,20}", passwd in ".{0,200}", group in ".{0,200}") {
            resolve(&wanted, &passwd, &group).ok();
        }
    }
}
