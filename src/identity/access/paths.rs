//! A set of paths that something else than a rule is about, by the same patterns and readings as rules.

use super::{AccessRules, Ambiguous, Fit, Path, Rule, RuleSpec, SpecError};

/// Compiled patterns; none of them holds no path.
#[derive(Debug, Default)]
pub struct Paths(AccessRules);

impl Paths {
    /// Compiles these patterns.
    ///
    /// # Errors
    /// When one can't be read.
    pub fn compile(patterns: Vec<String>) -> Result<Self, SpecError> {
        // A rule without patterns is for every path.
        let spec = Some(RuleSpec { paths: patterns, ..RuleSpec::default() });
        let rules = spec.filter(|spec| !spec.paths.is_empty()).map(Rule::compile).transpose()?;
        Ok(Self(AccessRules::new(rules.into_iter().collect())))
    }

    /// Whether a path is one of these.
    ///
    /// # Errors
    /// When it is by some of its readings only.
    pub fn hold(&self, path: &Path<'_>) -> Result<bool, Ambiguous> {
        if self.0.count() == 0 {
            return Ok(false);
        }
        self.0.fit(None, path).map(|fit| fit != Fit::Default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_in_the_set_by_all_its_readings_or_not_at_all() {
        let paths =
            Paths::compile(vec!["/logout".into(), "/login/logout.php".into(), "/bye/*".into()]).unwrap();
        for (path, held) in [
            ("/logout", Some(true)),
            ("/login/logout.php", Some(true)),
            ("/bye/a/b", Some(true)),
            ("/bye", Some(false)),
            ("/logout/", Some(false)),
            ("/", Some(false)),
            ("/Logout", None),
            ("/l%6fgout", None),
            ("/x/../logout", None),
            ("/logout;a=b", None),
            ("//logout", None),
            ("/login%2Flogout.php", None),
        ] {
            let found = paths.hold(&Path::parse(path).unwrap());
            assert_eq!(found.ok(), held, "{path}");
        }
        assert_eq!(Paths::default().hold(&Path::parse("/logout").unwrap()), Ok(false));
        assert!(Paths::compile(vec!["logout".into()]).is_err());
    }
}
