//! What a source names: paths in `use` declarations, in code, in macros and in attributes; no comments, no test code.

use std::collections::{BTreeMap, BTreeSet};

use syn::buffer::TokenBuffer;
use syn::ext::IdentExt;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Block, Expr, File, Item, Path, Stmt, Token};

use crate::modules::defined;
use crate::test_code::{attributes, is_for_tests, is_test};
use crate::tokens::{self, Quoted};
use crate::uses::{Segments, is_reexport, leaves};

/// How a path is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// By a `use` declaration for the module itself.
    Import,
    /// By one that hands the name on.
    Reexport,
    /// By code.
    Code,
}

/// A path, and the module that names it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The module, which may be one in braces.
    pub module: Segments,
    /// Where it is written.
    pub kind: Kind,
    /// As it is written.
    pub path: Segments,
}

/// Everything that the file of `module` names.
pub fn names(module: &[String], file: &File) -> BTreeSet<Name> {
    let mut reader = Reader {
        module: module.to_vec(),
        scopes: Vec::new(),
        found: BTreeSet::new(),
    };
    reader.visit_file(file);
    reader.found
}

/// Names that a block, a function or a match arm has of its own, which hide those of the module.
#[derive(Default)]
struct Scope {
    /// Variables and functions.
    values: BTreeSet<String>,
    /// Types and type parameters.
    types: BTreeSet<String>,
    /// From `use` declarations within a function.
    imports: BTreeMap<String, Segments>,
}

struct Reader {
    module: Segments,
    scopes: Vec<Scope>,
    found: BTreeSet<Name>,
}

impl Reader {
    fn within(&mut self, read: impl FnOnce(&mut Self)) {
        self.scopes.push(Scope::default());
        read(self);
        self.scopes.pop();
    }

    fn scope(&mut self) -> Option<&mut Scope> {
        self.scopes.last_mut()
    }

    fn is_variable(&self, name: &str) -> bool {
        self.scopes.iter().any(|scope| scope.values.contains(name))
    }

    fn add(&mut self, path: Segments, kind: Kind) {
        let module = self.module.clone();
        self.found.insert(Name { module, kind, path });
    }

    /// A path in code: what scopes hide is left out, and what they import is written out.
    fn add_code(&mut self, path: Segments) {
        let Some((head, rest)) = path.split_first() else {
            return;
        };
        if head == "Self" || (rest.is_empty() && head == "self") {
            return;
        }
        for scope in self.scopes.iter().rev() {
            if let Some(imported) = scope.imports.get(head) {
                let whole = imported.iter().chain(rest).cloned().collect();
                return self.add(whole, Kind::Code);
            }
            if scope.types.contains(head) {
                return;
            }
        }
        self.add(path, Kind::Code);
    }

    fn add_tokens(&mut self, tokens: &TokenBuffer, quoted: Quoted) {
        for path in tokens::paths(tokens.begin(), quoted) {
            self.add_code(path);
        }
    }

    /// Items of a block are known in all of it.
    fn hoist(&mut self, block: &Block) {
        let Some(scope) = self.scope() else { return };
        for statement in &block.stmts {
            match statement {
                Stmt::Item(Item::Use(item)) => {
                    let named = leaves(item).into_iter().map(|leaf| (leaf.name, leaf.path));
                    scope.imports.extend(named);
                }
                Stmt::Item(item) => {
                    if let Some(name) = defined(item) {
                        scope.values.insert(name.clone());
                        scope.types.insert(name);
                    }
                }
                _ => {}
            }
        }
    }
}

fn segments(path: &Path) -> Segments {
    let start = path.leading_colon.iter().map(|_| String::new());
    let words = path
        .segments
        .iter()
        .map(|segment| segment.ident.unraw().to_string());
    start.chain(words).collect()
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes(item)) {
            self.within(|reader| visit::visit_item(reader, item));
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.unraw().to_string());
        let outer = std::mem::take(&mut self.scopes);
        visit::visit_item_mod(self, item);
        self.scopes = outer;
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let kind = if is_reexport(item) {
            Kind::Reexport
        } else {
            Kind::Import
        };
        for leaf in leaves(item) {
            self.add(leaf.path, kind);
        }
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        self.add(vec![String::new(), item.ident.unraw().to_string()], Kind::Import);
    }

    /// `pub(in crate::a)` names only what the module lies in.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            self.within(|reader| visit::visit_impl_item_fn(reader, item));
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if !is_test(&item.attrs) {
            self.within(|reader| visit::visit_trait_item_fn(reader, item));
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !is_test(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_type_param(&mut self, parameter: &'ast syn::TypeParam) {
        let name = parameter.ident.unraw().to_string();
        if let Some(scope) = self.scope() {
            scope.types.insert(name);
        }
        visit::visit_type_param(self, parameter);
    }

    fn visit_block(&mut self, block: &'ast Block) {
        self.within(|reader| {
            reader.hoist(block);
            visit::visit_block(reader, block);
        });
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if is_test(&local.attrs) {
            return;
        }
        // The variable is not known to the value that it is given.
        if let Some(init) = &local.init {
            self.visit_local_init(init);
        }
        self.visit_pat(&local.pat);
    }

    fn visit_expr_let(&mut self, expr: &'ast syn::ExprLet) {
        self.visit_expr(&expr.expr);
        self.visit_pat(&expr.pat);
    }

    fn visit_expr_if(&mut self, expr: &'ast syn::ExprIf) {
        self.within(|reader| visit::visit_expr_if(reader, expr));
    }

    fn visit_expr_while(&mut self, expr: &'ast syn::ExprWhile) {
        self.within(|reader| visit::visit_expr_while(reader, expr));
    }

    fn visit_expr_for_loop(&mut self, expr: &'ast syn::ExprForLoop) {
        self.visit_expr(&expr.expr);
        self.within(|reader| {
            reader.visit_pat(&expr.pat);
            reader.visit_block(&expr.body);
        });
    }

    fn visit_expr_closure(&mut self, expr: &'ast syn::ExprClosure) {
        self.within(|reader| visit::visit_expr_closure(reader, expr));
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        self.within(|reader| visit::visit_arm(reader, arm));
    }

    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        let name = pattern.ident.unraw().to_string();
        // `None` and `LIMIT` in a pattern are names; a small word is a new variable.
        if name.starts_with(char::is_uppercase) {
            self.add_code(vec![name]);
        } else if let Some(scope) = self.scope() {
            scope.values.insert(name);
        }
        visit::visit_pat_ident(self, pattern);
    }

    fn visit_expr_path(&mut self, expr: &'ast syn::ExprPath) {
        let word = expr.path.get_ident().map(|ident| ident.unraw().to_string());
        if !word.is_some_and(|word| self.is_variable(&word)) {
            visit::visit_expr_path(self, expr);
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        self.add_code(segments(path));
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        let arguments = Punctuated::<Expr, Token![,]>::parse_terminated.parse2(call.tokens.clone());
        match arguments {
            Ok(arguments) => {
                for argument in &arguments {
                    self.visit_expr(argument);
                }
            }
            Err(_) => self.add_tokens(&TokenBuffer::new2(call.tokens.clone()), Quoted::Skipped),
        }
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if attribute.path().is_ident("doc") || is_for_tests(attribute) {
            return;
        }
        // A single word is an attribute of the language or of a derive macro.
        let path = segments(attribute.path());
        if path.len() > 1 {
            self.add_code(path);
        }
        match &attribute.meta {
            syn::Meta::Path(_) => {}
            syn::Meta::List(list) => self.add_tokens(&TokenBuffer::new2(list.tokens.clone()), Quoted::Read),
            syn::Meta::NameValue(pair) => self.visit_expr(&pair.value),
        }
    }
}
