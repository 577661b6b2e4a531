//! ES modules: files, and the module "offheap".

use std::rc::Rc;

use offheap_quickjs::rquickjs::loader::{ImportAttributes, Loader, Resolver};
use offheap_quickjs::rquickjs::module::Declared;
use offheap_quickjs::rquickjs::{Ctx, Error, Module, Result};

use super::columns::Columns;
use crate::files;
use crate::glue::OFFHEAP_MODULE;

/// Finds modules as files, relative to the importer.
#[derive(Clone)]
pub(super) struct Files {
    /// Gets the text of each module.
    pub(super) columns: Rc<Columns>,
}

impl Resolver for Files {
    fn resolve<'js>(
        &mut self,
        _ctx: &Ctx<'js>,
        base: &str,
        name: &str,
        attributes: Option<ImportAttributes<'js>>,
    ) -> Result<String> {
        if attributes.is_some() {
            let why = "import attributes are not supported; leave `with` out";
            return Err(Error::new_resolving_message(base, name, why));
        }
        files::resolve(base, name).map_err(|why| Error::new_resolving_message(base, name, why))
    }
}

impl Loader for Files {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _attributes: Option<ImportAttributes<'js>>,
    ) -> Result<Module<'js, Declared>> {
        let text = files::read_module(name).map_err(|why| Error::new_loading_message(name, why))?;
        self.columns.add(name, &text);
        declare(ctx, name, text)
    }
}

/// A module with this text, and with its name as `import.meta.url`.
pub(super) fn declare<'js>(ctx: &Ctx<'js>, name: &str, text: impl Into<Vec<u8>>) -> Result<Module<'js, Declared>> {
    let module = Module::declare(ctx.clone(), name, text)?;
    module.meta()?.set("url", name)?;
    Ok(module)
}

/// Evaluates the module "offheap" before script can change the globals that it reads. Later imports find it by its
/// name.
pub(super) fn evaluate_offheap(ctx: &Ctx<'_>) -> Result<()> {
    let promise = Module::evaluate(ctx.clone(), OFFHEAP_MODULE.name, OFFHEAP_MODULE.text)?;
    promise.finish::<()>()
}
