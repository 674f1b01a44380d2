"""Restore and reset: a branch takes over the present state of another (facts.md 3)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from neonctl.local.api.branching import check_room
from neonctl.local.api.clock import now
from neonctl.local.api.context import Api, Call, Reply
from neonctl.local.api.failures import unprocessable
from neonctl.local.api.ids import new_id
from neonctl.local.api.schedule import Step

if TYPE_CHECKING:
    from neonctl.local.api.rows import Branch


async def restore_branch(api: Api, call: Call) -> Reply:
    """The branch keeps its id and gets the source's data; its old state may live on under another name.

    A child of a protected branch keeps its own passwords. The clock of an expiring branch starts again.
    """
    project, wanted = api.project(call), call.body
    row = api.branch(project, call.path["branch_id"])
    source = api.branch(project, wanted["source_branch_id"])
    kept_name = wanted.get("preserve_under_name", "")
    children = api.store.children(row.id)
    if wanted.get("source_lsn") or wanted.get("source_timestamp"):
        raise unprocessable("the local platform keeps no history: restore from the source's present state")
    if source.id == row.id:
        raise unprocessable("source_timestamp or source_lsn is required to restore a branch from itself")
    if row.protected:
        raise unprocessable("cannot restore a protected branch")
    if children and not kept_name:
        raise unprocessable("preserve_under_name is required: the branch has children")
    if row.state != "ready" or source.state != "ready":
        raise unprocessable("branch not ready yet")
    api.unlocked(project)
    await api.clusters.sync(source)
    await api.clusters.sync(row)
    api.unlocked(project)
    at = now()
    changed = replace(
        row,
        state="resetting",
        source_id=source.id,
        fresh_passwords=source.protected,
        state_changed_at=at,
        updated_at=at,
        last_reset_at=at,
        restored_from=source.id,
        expires_at=at + timedelta(seconds=row.ttl_seconds) if row.ttl_seconds else row.expires_at,
    )
    kept = _preserved(row, kept_name) if kept_name else None
    if kept is not None:
        check_room(api, project, kept)
    with api.change(project.id) as change:
        if kept is not None:
            api.store.branches.put(kept)
            api.store.copy_contents(row.id, kept.id)
            for child in children:
                api.store.branches.put(replace(child, parent_id=kept.id))
            change.add(Step("create_branch", "create_branch", kept.id))
        api.store.branches.put(changed)
        change.add(Step("create_branch", "reset_branch", row.id))
    return Reply({"branch": api.branch_document(changed), "operations": change.documents()})


def _preserved(row: Branch, name: str) -> Branch:
    """The branch that keeps the state from before the restore."""
    at = now()
    return replace(
        row,
        id=new_id("br-"),
        name=name,
        source_id=row.id,
        init_source="parent-data",
        is_default=False,
        state="init",
        fresh_passwords=False,
        created_at=at,
        updated_at=at,
        state_changed_at=at,
        expires_at=None,
        ttl_seconds=None,
        annotation={},
        annotated_at=None,
    )
