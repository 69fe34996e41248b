"""An import contract for modules whose every import is named: what is not allowed is forbidden.

import-linter's own contracts forbid what they list. For pure modules that is the wrong way round, since the list would have to
foresee every library, so this one lists what is allowed.
"""

import sys
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output
from importlinter.domain.helpers import module_expressions_to_modules


class OnlyContract(Contract):
    """``modules`` (with all below them) may import nothing but ``allowed``.

    ``allowed`` holds names of packages or modules, and two words: ``stdlib``, and ``siblings`` for the package that a module
    lies in.
    """

    type_name = "only"

    # Any: import-linter puts the parsed values in the place of the fields.
    modules: Any = fields.SetField(subfield=fields.ModuleExpressionField())
    allowed: Any = fields.SetField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        modules = module_expressions_to_modules(graph, self.modules, as_packages=True)
        found = sorted(
            (module.name, imported)
            for module in modules
            for imported in graph.find_modules_directly_imported_by(module.name)
            if not self._is_allowed(module.name, imported)
        )
        lines = [f"{importer} -> {imported} (l.{lines_of(graph, importer, imported)})" for importer, imported in found]
        return ContractCheck(kept=not found, metadata={"lines": lines})

    def _is_allowed(self, importer: str, imported: str) -> bool:
        names = set(self.allowed)
        if "siblings" in names:
            names.add(importer.rpartition(".")[0])
        if "stdlib" in names and imported.partition(".")[0] in sys.stdlib_module_names:
            return True
        return any(imported == name or imported.startswith(f"{name}.") for name in names)

    def render_broken_contract(self, check: ContractCheck) -> None:
        output.print_error("These imports are not on the list of what is allowed here:", bold=False)
        for line in check.metadata["lines"]:
            output.print_error(f"- {line}", bold=False)
        output.new_line()


def lines_of(graph: ImportGraph, importer: str, imported: str) -> str:
    """Where an import stands in its file."""
    return ", ".join(str(detail["line_number"]) for detail in graph.get_import_details(importer=importer, imported=imported))
