//! What is checked of a parsed expression before anybody's claims are put to it.
//!
//! CEL finds out about a misspelt name or function when it reaches it, which here would be a refusal of
//! every person; and it walks the tree recursively. So the tree is walked once, at start, without recursion.

use std::collections::HashSet;
use std::sync::Arc;

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr};
use cel::{Context, Program};

use super::{ExpressionError, LIBRARY};

/// How deep the tree may be: far below what the stack of a worker carries.
pub(super) const MAX_TREE: usize = 200;

/// Checks that the tree is not too deep, and that every name and function in it is known.
pub(super) fn check(program: &Program) -> Result<(), ExpressionError> {
    let nodes = nodes(program.expression())?;
    let loop_variables: HashSet<&str> = nodes.iter().copied().flat_map(loop_variables).collect();
    let at = |node: &IdedExpr| {
        program.source_info().offset_for(node.id).map_or(1, |(start, _)| start as usize + 1)
    };
    for node in nodes {
        match &node.expr {
            Expr::Ident(name) if !is_name(name, &loop_variables) => {
                return Err(ExpressionError::UnknownName { name: name.clone(), at: at(node) });
            }
            Expr::Call(call) if !is_operator(&call.func_name) && !calls_known(call) => {
                return Err(ExpressionError::UnknownFunction { name: call.func_name.clone(), at: at(node) });
            }
            Expr::Struct(construct) => {
                return Err(ExpressionError::UnknownName { name: construct.type_name.clone(), at: at(node) });
            }
            _ => {}
        }
    }
    Ok(())
}

/// All nodes of the tree; the namespace before a function (`strings.quote`) is not one.
fn nodes(root: &IdedExpr) -> Result<Vec<&IdedExpr>, ExpressionError> {
    let mut found = Vec::new();
    let mut waiting = vec![(root, 1)];
    while let Some((node, depth)) = waiting.pop() {
        // SECURITY: a chain of a thousand operators is a tree that overflows the stack when it is evaluated.
        if depth > MAX_TREE {
            return Err(ExpressionError::TooComplex);
        }
        found.push(node);
        waiting.extend(children(&node.expr).into_iter().map(|child| (child, depth + 1)));
    }
    Ok(found)
}

fn children(expr: &Expr) -> Vec<&IdedExpr> {
    match expr {
        Expr::Call(call) => {
            let target = call.target.as_deref().filter(|_| namespaced(call).is_none());
            target.into_iter().chain(&call.args).collect()
        }
        Expr::Comprehension(comprehension) => vec![
            &comprehension.iter_range,
            &comprehension.accu_init,
            &comprehension.loop_cond,
            &comprehension.loop_step,
            &comprehension.result,
        ],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|entry| entry_children(&entry.expr)).collect(),
        Expr::Struct(construct) => {
            construct.entries.iter().flat_map(|entry| entry_children(&entry.expr)).collect()
        }
        Expr::Select(select) => vec![&select.operand],
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => Vec::new(),
    }
}

fn entry_children(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

fn loop_variables(node: &IdedExpr) -> impl Iterator<Item = &str> {
    let comprehension =
        if let Expr::Comprehension(comprehension) = &node.expr { Some(comprehension) } else { None };
    comprehension.into_iter().flat_map(|comprehension| {
        [&comprehension.iter_var, &comprehension.accu_var]
            .into_iter()
            .chain(&comprehension.iter_var2)
            .map(String::as_str)
    })
}

fn is_name(name: &str, loop_variables: &HashSet<&str>) -> bool {
    let name = name.strip_prefix('.').unwrap_or(name);
    name == "claims"
        || name.starts_with('@')
        || loop_variables.contains(name)
        || LIBRARY.types().find_type(name).is_some()
}

/// Operators are functions named like `_+_`, `@in` and `!_`.
fn is_operator(function: &str) -> bool {
    !function.starts_with(char::is_alphabetic)
}

fn calls_known(call: &CallExpr) -> bool {
    namespaced(call).is_some() || is_function(&call.func_name)
}

/// `strings.quote(…)`, which is parsed like a method of `strings`.
fn namespaced(call: &CallExpr) -> Option<String> {
    let Expr::Ident(namespace) = &call.target.as_deref()?.expr else { return None };
    Some(format!("{namespace}.{}", call.func_name)).filter(|name| is_function(name))
}

/// The crate has no look-up for functions, but refuses to add one whose name is taken.
fn is_function(name: &str) -> bool {
    Context::with_env(Arc::clone(&LIBRARY)).add_function(name, || true).is_err()
}
