//! CEL expressions over `claims`: compiled once, when the configuration is read.
//!
//! The only file that knows the CEL crate. Claims become CEL values once a person ([`Facts`]); every way in
//! which an evaluation can go wrong is a value that never shows a claim's contents.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use cel::objects::{Key, Map as CelMap};
use cel::{Context, Env, ExecutionError, Program, Value as CelValue, extensions};
use serde_json::{Map, Number, Value};

use super::claims::Claims;

mod check;
#[cfg(test)]
mod tests;

/// An expression may have this many bytes.
pub const MAX_BYTES: usize = 4096;

/// Claims may be nested this deep before expressions refuse to look at them.
const MAX_DEPTH: usize = 64;

/// Boolean claims of OpenID Connect Core 5.1 that some providers send as strings.
const BOOLEAN_CLAIMS: [&str; 2] = ["email_verified", "phone_number_verified"];

/// The standard library and the string functions (`lowerAscii`, `split`, `join`, `replace`, …).
static LIBRARY: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut library = Env::stdlib();
    let added = library.add_extension(extensions::strings);
    debug_assert!(added.is_ok(), "the string functions are declared once");
    Arc::new(library)
});

/// A compiled expression.
#[derive(Debug)]
pub struct Expression {
    program: Program,
    source: String,
}

/// Why an expression can't be used. Positions count lines and characters from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// It is larger than any that a person would write.
    #[error("the expression is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// It has more steps than can be walked safely.
    #[error("the expression is nested more than {max} levels deep; a chain of operators counts too", max = check::MAX_TREE)]
    TooComplex,
    /// It is not CEL.
    #[error("the expression can't be read at line {line}, character {character}: {reason}")]
    Syntax {
        /// The line.
        line: usize,
        /// The character in it.
        character: usize,
        /// What the parser says.
        reason: String,
    },
    /// A function that CEL does not have.
    #[error("there is no function {name} in CEL, or none with so many arguments (character {at})")]
    UnknownFunction {
        /// Its name.
        name: String,
        /// Where.
        at: usize,
    },
    /// A name that is not there.
    #[error("{name} is not known (character {at}); a person is claims: claims.email, claims.groups, …")]
    UnknownName {
        /// The name.
        name: String,
        /// Where.
        at: usize,
    },
}

/// Why an evaluation gave no value. No message holds the contents of a claim.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// A claim or member is absent.
    #[error("claim or member {0} is absent; ask with has(…) first")]
    Absent(String),
    /// An operator or function was given what it does not take.
    #[error("{0} does not take {1}")]
    WrongTypes(String, String),
    /// A function failed on what it was given.
    #[error("the function {0} failed on the value")]
    Function(String),
    /// Anything else that arithmetic and indexing can meet.
    #[error("{0}")]
    Impossible(&'static str),
    /// The result can't be a claim's value.
    #[error("the result is a {0}; turn it into text with string(…)")]
    Result(String),
    /// Claims deeper than any provider needs.
    #[error("the claims are nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// A person's claims as CEL sees them, made once for all expressions.
pub struct Facts(Result<Context<'static, 'static>, EvaluationError>);

impl Facts {
    /// Turns claims into CEL values. Every integer becomes an `int`; `email_verified` and
    /// `phone_number_verified` that came as text become booleans.
    pub fn new(claims: &Claims) -> Self {
        Self(object(&claims.0, 1).map(|mut members| {
            for name in BOOLEAN_CLAIMS {
                let boolean = match claims.0.get(name).and_then(Value::as_str) {
                    Some(text) if text.eq_ignore_ascii_case("true") => true,
                    Some(text) if text.eq_ignore_ascii_case("false") => false,
                    _ => continue,
                };
                members.insert(key(name), CelValue::Bool(boolean));
            }
            let mut context = Context::with_env(Arc::clone(&LIBRARY));
            context.add_variable_from_value("claims", CelValue::Map(CelMap { map: Arc::new(members) }));
            context
        }))
    }
}

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// When it is not CEL, or uses a name or function that is not there.
    pub fn compile(source: &str) -> Result<Self, ExpressionError> {
        if source.len() > MAX_BYTES {
            return Err(ExpressionError::TooLong);
        }
        let unreadable =
            |reason: &str| ExpressionError::Syntax { line: 1, character: 1, reason: reason.to_owned() };
        let program = catch_unwind(|| LIBRARY.compile(source))
            .map_err(|_| unreadable("the parser gave up on it"))?
            .map_err(|errors| {
                errors.errors.first().map_or_else(
                    || unreadable("it is not an expression"),
                    |error| ExpressionError::Syntax {
                        line: usize::try_from(error.pos.0).unwrap_or(1).max(1),
                        character: usize::try_from(error.pos.1).unwrap_or(1).max(1),
                        reason: error.msg.clone(),
                    },
                )
            })?;
        check::check(&program)?;
        Ok(Self { program, source: source.to_owned() })
    }

    /// The expression as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The value for one person, as JSON.
    ///
    /// # Errors
    /// When it can't be evaluated, or gives what JSON can't say.
    pub fn evaluate(&self, facts: &Facts) -> Result<Value, EvaluationError> {
        let context = facts.0.as_ref().map_err(Clone::clone)?;
        // SECURITY: a panic in the interpreter must be a refusal of one person, not the end of a worker.
        let value = catch_unwind(AssertUnwindSafe(|| self.program.execute(context)))
            .map_err(|_| EvaluationError::Impossible("the interpreter gave up"))?
            .map_err(|error| self.explain(error))?;
        json(&value)
    }

    fn explain(&self, error: ExecutionError) -> EvaluationError {
        match error {
            // SECURITY: a key may be computed from a claim; only what stands in the expression is shown.
            ExecutionError::NoSuchKey(name) if self.source.contains(name.as_str()) => {
                EvaluationError::Absent(name.to_string())
            }
            ExecutionError::NoSuchKey(_) => EvaluationError::Absent("by a computed name".to_owned()),
            ExecutionError::NoSuchOverload(error) => {
                EvaluationError::WrongTypes(error.function().to_owned(), error.argument_types().join(", "))
            }
            ExecutionError::UnexpectedType { got, .. } => {
                EvaluationError::WrongTypes("an operation".to_owned(), got)
            }
            ExecutionError::UnsupportedBinaryOperator(operator, left, right) => {
                let types = format!("{}, {}", left.type_of(), right.type_of());
                EvaluationError::WrongTypes(operator.to_owned(), types)
            }
            ExecutionError::ValuesNotComparable(left, right) => {
                let types = format!("{}, {}", left.type_of(), right.type_of());
                EvaluationError::WrongTypes("a comparison".to_owned(), types)
            }
            ExecutionError::FunctionError { function, .. } => EvaluationError::Function(function),
            ExecutionError::UndeclaredReference(name) => {
                EvaluationError::WrongTypes("the expression".to_owned(), format!("the unknown name {name}"))
            }
            ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
                EvaluationError::Impossible("a division by zero")
            }
            ExecutionError::Overflow(..) => EvaluationError::Impossible("a number too large"),
            ExecutionError::IndexOutOfBounds(_) => {
                EvaluationError::Impossible("an index beyond the end of a list")
            }
            ExecutionError::UnsupportedIndex(..) => {
                EvaluationError::Impossible("an index into what has no members")
            }
            ExecutionError::DuplicateKey(_) => EvaluationError::Impossible("a map with the same key twice"),
            _ => EvaluationError::Impossible("the types of the values do not fit the expression"),
        }
    }
}

fn key(name: &str) -> Key {
    Key::String(Arc::new(name.to_owned()))
}

fn object(members: &Map<String, Value>, depth: usize) -> Result<HashMap<Key, CelValue>, EvaluationError> {
    members.iter().map(|(name, value)| Ok((key(name), cel_value(value, depth)?))).collect()
}

fn cel_value(value: &Value, depth: usize) -> Result<CelValue, EvaluationError> {
    if depth > MAX_DEPTH {
        return Err(EvaluationError::TooDeep);
    }
    Ok(match value {
        Value::Null => CelValue::Null,
        Value::Bool(boolean) => CelValue::Bool(*boolean),
        // CEL has no arithmetic between int and uint, so an integer is always an int; one beyond its range
        // is a double, as every number of JSON is by CEL's own rules.
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => CelValue::Int(integer),
            (None, Some(float)) => CelValue::Float(float),
            (None, None) => CelValue::Null,
        },
        Value::String(text) => CelValue::String(Arc::new(text.clone())),
        Value::Array(elements) => CelValue::List(Arc::new(
            elements.iter().map(|element| cel_value(element, depth + 1)).collect::<Result<_, _>>()?,
        )),
        Value::Object(members) => CelValue::Map(CelMap { map: Arc::new(object(members, depth + 1)?) }),
    })
}

fn json(value: &CelValue) -> Result<Value, EvaluationError> {
    Ok(match value {
        CelValue::Null => Value::Null,
        CelValue::Bool(boolean) => Value::Bool(*boolean),
        CelValue::Int(integer) => Value::from(*integer),
        CelValue::UInt(integer) => Value::from(*integer),
        CelValue::Float(float) => Value::Number(
            Number::from_f64(*float).ok_or(EvaluationError::Impossible("a number without a value"))?,
        ),
        CelValue::String(text) => Value::String(text.as_ref().clone()),
        CelValue::List(elements) => Value::Array(elements.iter().map(json).collect::<Result<_, _>>()?),
        CelValue::Map(members) => {
            // CEL's maps have no order; the header must not differ from one session to the next.
            let mut sorted = members
                .map
                .iter()
                .map(|(key, value)| Ok((key.to_string(), json(value)?)))
                .collect::<Result<Vec<_>, EvaluationError>>()?;
            sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(sorted.into_iter().collect())
        }
        other => return Err(EvaluationError::Result(other.type_of().to_string())),
    })
}
