"""What `db-verify` prints: the promise first, then what one should know about the databases."""

from collections.abc import Iterator, Sequence

from rich.text import Text

from tools import plans
from tools.findings import Findings, IndexFacts
from tools.plans import Planning, Proof, Use
from tools.tables import console, share, show, size, table, verdict

_SHOWN_QUERIES = 2
_FEW_UPDATES = 50


def report(found: Sequence[Findings], *, verbose: bool) -> None:
    """Everything; with definitions, conditions and plans where asked."""
    _promised(found, verbose=verbose)
    _proofs(found, verbose=verbose)
    _caches(found)
    _pools(found)
    _updates(found)
    for one in found:
        _advice(one)
    if verbose:
        _plans(found)
    _summary(found)


def _promised(found: Sequence[Findings], *, verbose: bool) -> None:
    made = table(
        "The nineteen indexes", "Index", "Owner, table", "Kind", "Serves", "By the plan's node", ">Scans", ">Size", ""
    )
    for one in found:
        for index in one.promised:
            facts, served = one.indexes.get(index.name), one.served(index.name)
            where = f"{one.service}, {facts.table_name}" if facts else one.service
            kept = (f"{facts.scans:,}", size(facts.bytes)) if facts else ("", "")
            good = facts is not None and facts.is_valid and bool(served)
            shown = _serves(served, index.purpose, verbose=verbose)
            made.add_row(index.name, where, _kind(facts), shown, _nodes(served, index.name), *kept, verdict(good))
            if verbose and facts:
                made.add_row("", Text(facts.definition, style="dim"))
    show(made)


def _serves(served: Sequence[Proof], purpose: str, *, verbose: bool) -> str:
    names = [proof.query.name for proof in served]
    shown = names if verbose else names[:_SHOWN_QUERIES]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f"{purpose}: {', '.join(shown) or 'no query'}{more}"


def _kind(facts: IndexFacts | None) -> str:
    if facts is None:
        return "missing"
    words = ("unique" if facts.is_unique else "", "partial" if facts.is_partial else "full")
    return ", ".join(word for word in words if word) + ("" if facts.is_valid else ", INVALID")


def _nodes(served: Sequence[Proof], index: str) -> str:
    return ", ".join(sorted({_node(proof.uses[index]) for proof in served}))


def _node(use: Use) -> str:
    return use.node if use.planning is Planning.AS_IS else f"{use.node} ({use.planning})"


def _proofs(found: Sequence[Findings], *, verbose: bool) -> None:
    made = table("Every named query, and the indexes that its generic plan uses", "Query", "Indexes", "Nodes", "")
    for one in found:
        for proof in one.proofs:
            rows = list(_uses(proof, verbose=verbose))
            names, nodes = (list(dict.fromkeys(each)) for each in zip(*rows, strict=True))
            separator = "\n" if verbose else ", "
            good = verdict(not proof.missing)
            made.add_row(f"{one.service} {proof.query.name}", separator.join(names), separator.join(nodes), good)
    show(made)
    console.print(
        f"[dim]{Planning.NO_SEQ_SCAN}: the table has so few rows that reading all would be quicker; the services "
        "plan with enable_seqscan=off, and so use the index.[/dim]"
    )


def _uses(proof: Proof, *, verbose: bool) -> Iterator[tuple[str, str]]:
    for choice in plans.choices(proof.query):
        name = next((name for name in choice if name in proof.uses), None)
        if name is None:
            yield " or ".join(choice), "not used"
        else:
            use = proof.uses[name]
            yield name, f"{name}: {_node(use)} {use.condition}" if verbose else _node(use)
    if not plans.choices(proof.query):
        yield "none", plans.reason(proof.query)


def _caches(found: Sequence[Findings]) -> None:
    made = table("Pages found in Postgres's cache", "Owner", ">Tables", ">Indexes", ">Size", "Statistics since")
    for one in found:
        tables = [(each.table_hits, each.table_reads) for each in one.tables]
        indexes = [(each.index_hits, each.index_reads) for each in one.tables]
        ratios = (_ratio(tables), _ratio(indexes))
        total = size(sum(each.bytes for each in one.tables))
        made.add_row(one.service, *ratios, total, f"{one.since:%Y-%m-%d %H:%M %Z}")
    show(made)


def _ratio(pages: Sequence[tuple[int, int]]) -> str:
    hits = sum(hit for hit, _ in pages)
    return share(hits, hits + sum(read for _, read in pages))


def _pools(found: Sequence[Findings]) -> None:
    made = table(
        "Connections of the pools, as Postgres sees them", "Pool", ">Open", ">Active", ">In transaction", ">Most"
    )
    for one in found:
        for pool in one.pools:
            counts = (pool.open, pool.active, pool.in_transaction, pool.most)
            made.add_row(pool.name, *(str(count) for count in counts))
    show(made)


def _updates(found: Sequence[Findings]) -> None:
    made = table("Updates and dead rows", "Owner, table", ">Rows", ">Updates", ">HOT", ">Dead rows", ">Size")
    for one in found:
        for each in one.tables:
            if each.updates or each.dead:
                hot = share(each.hot_updates, each.updates) if each.updates >= _FEW_UPDATES else "-"
                row = (f"{each.rows:,}", f"{each.updates:,}", hot, f"{each.dead:,}", size(each.bytes))
                made.add_row(f"{one.service}, {each.name}", *row)
    show(made)
    console.print("[dim]HOT: the new version stayed on its page and touched no index.[/dim]")


def _advice(one: Findings) -> None:
    unused = [name for name, facts in one.indexes.items() if not facts.scans]
    scanned = [f"{each.name} ({each.sequential_scans:,} times)" for each in one.tables if each.lacks_index]
    console.print()
    console.print(f"[bold]{one.service}[/bold]")
    _line("indexes that nothing has used since the statistics began", unused)
    _line("large tables often read as a whole", scanned)
    _line("foreign keys without an index", one.bare_foreign_keys)


def _line(what: str, names: Sequence[str]) -> None:
    console.print(f"  {what}: {', '.join(names) if names else 'none'}", highlight=False, soft_wrap=True)


def _plans(found: Sequence[Findings]) -> None:
    for one in found:
        for proof in one.proofs:
            console.print(f"\n[bold]{one.service} {proof.query.name}[/bold]")
            for line in plans.lines(proof.plan):
                console.print(f"  {line}", markup=False, soft_wrap=True)


def _summary(found: Sequence[Findings]) -> None:
    promised = [(one, index) for one in found for index in one.promised]
    proven = [index for one, index in promised if index.name in one.indexes and one.served(index.name)]
    proofs = [proof for one in found for proof in one.proofs]
    covered = [proof for proof in proofs if not proof.missing]
    console.print()
    console.print(verdict(len(proven) == len(promised), f"{len(proven)} of {len(promised)} indexes are used"))
    console.print(verdict(len(covered) == len(proofs), f"{len(covered)} of {len(proofs)} named queries are covered"))
