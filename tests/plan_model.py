"""A model of apply: a plan is carried out on an observed state, without any system behind it."""

from __future__ import annotations

from dataclasses import replace

from neonctl.desired.model import Desired, role_name
from neonctl.plan import changes as c
from neonctl.plan.credentials import CONNECTION_TAG, MANAGED_TAG, connection_tag
from neonctl.plan.diff_project import production
from neonctl.plan.grants import fresh_database, implied_default
from neonctl.plan.observed import (
    Address,
    Addresses,
    AppliedVersion,
    BranchSnapshot,
    ClusterSnapshot,
    CredentialMark,
    DatabaseSnapshot,
    EndpointSnapshot,
    EnvironmentSnapshot,
    Grant,
    Observed,
    ProjectSnapshot,
    PublicationSnapshot,
    SecretSnapshot,
)
from neonctl.plan.ownership import branch_annotations
from neonctl.plan.plan import Plan


class Model:
    """The platform as it would be; ``enact`` moves it on."""

    def __init__(self, desired: Desired, observed: Observed) -> None:
        self.desired = desired
        self.observed = observed
        self.numbers = iter(range(1, 10_000))

    def enact(self, plan: Plan) -> Observed:
        """Carry out every change in order; migrations make one table per schema."""
        for change in plan.work:
            self._one(change)
        return self.observed

    def _environment(self, name: str) -> EnvironmentSnapshot:
        return self.observed.environments.get(name, EnvironmentSnapshot())

    def _put(self, name: str, **fields: object) -> None:
        whole = {**self.observed.environments, name: replace(self._environment(name), **fields)}
        branches = tuple(s.branch for s in whole.values() if s.branch)
        others = tuple(b for b in self.observed.branches if b.id not in {x.id for x in branches})
        self.observed = replace(self.observed, environments=whole, branches=branches + others)

    def _make_branch(self, environment: str, name: str, compute: c.Compute, **fields: object) -> None:
        number = next(self.numbers)
        branch = BranchSnapshot(
            id=f"br-{number}", name=name, parent_id=None, default=False, protected=False, state="ready"
        )
        branch = replace(branch, **fields)
        endpoint = EndpointSnapshot(
            f"ep-{number}",
            branch.id,
            f"ep-{number}.example",
            compute.min_cu,
            compute.max_cu,
            compute.suspend_timeout_seconds or 0,
        )
        host = Address(f"ep-{number}.example")
        self._put(
            environment,
            branch=branch,
            endpoint=endpoint,
            addresses=Addresses(host, Address(f"ep-{number}-pooler.example")),
            api_roles=frozenset({self.desired.platform.project.owner_role}),
            cluster=ClusterSnapshot(roles={}, databases={}),
        )

    def _database(self, environment: str, name: str) -> DatabaseSnapshot:
        cluster = self._environment(environment).cluster
        assert cluster is not None
        return cluster.databases[name]

    def _set_database(self, environment: str, found: DatabaseSnapshot) -> None:
        cluster = self._environment(environment).cluster
        assert cluster is not None
        self._put(
            environment,
            cluster=replace(cluster, databases={**cluster.databases, found.name: found}),
            api_databases={**self._environment(environment).api_databases, found.name: found.owner},
        )

    def _new_database(self, environment: str, name: str) -> None:
        self._set_database(environment, fresh_database(name, self.desired.platform.project.owner_role))

    def _set_role(self, environment: str, role: object) -> None:
        cluster = self._environment(environment).cluster
        assert cluster is not None
        self._put(environment, cluster=replace(cluster, roles={**cluster.roles, role.name: role}))  # type: ignore[attr-defined]

    def _one(self, change: c.AnyChange) -> None:
        env = change.environment
        match change:
            case c.CreateProject():
                self.observed = replace(
                    self.observed,
                    project=ProjectSnapshot(
                        "project-1",
                        change.project,
                        change.region,
                        change.postgres_version,
                        change.history_retention_seconds or 86_400,
                        bool(change.logical_replication),
                    ),
                )
                name, _ = production(self.desired)
                self._make_branch(
                    name,
                    change.branch,
                    change.compute,
                    default=True,
                    annotations=branch_annotations(name, build="empty"),
                )
                self._new_database(name, change.database)
                self._owner(name)
            case c.UpdateProject():
                assert self.observed.project is not None
                self.observed = replace(
                    self.observed,
                    project=replace(self.observed.project, **{f.name: f.after for f in change.fields}),
                )
            case c.CreateBranch():
                self._make_branch(
                    env,
                    change.branch,
                    change.compute,
                    protected=change.protected,
                    init_source=change.init,
                    annotations=branch_annotations(env, build=change.init),
                )
                self._owner(env)
                for database in self._environment(change.source).api_databases:
                    self._new_database(env, database)
            case c.UpdateBranch():
                branch = self._environment(env).branch
                assert branch is not None
                self._put(env, branch=replace(branch, **{f.name: f.after for f in change.fields}))
            case c.CreateEndpoint() | c.UpdateEndpoint():
                branch = self._environment(env).branch
                assert branch is not None
                size = change.compute
                self._put(
                    env,
                    endpoint=EndpointSnapshot(
                        "ep-x", branch.id, "ep-x.example", size.min_cu, size.max_cu, size.suspend_timeout_seconds or 0
                    ),
                )
            case c.CreateOwnerRole():
                self._put(env, api_roles=self._environment(env).api_roles | {change.role})
                self._owner(env)
            case c.CreateDatabase() | c.RebuildDatabase():
                self._new_database(env, change.database)
            case c.CreateRole():
                self._set_role(env, change.role)
            case c.UpdateRole():
                cluster = self._environment(env).cluster
                assert cluster is not None
                old = cluster.roles[change.wanted.name]
                settings = {**old.settings, **change.wanted.settings}
                self._set_role(env, replace(change.wanted, settings=settings, mark=old.mark, member_of=old.member_of))
            case c.GrantMembership() | c.RevokeMembership():
                cluster = self._environment(env).cluster
                assert cluster is not None
                member = cluster.roles[change.member]
                held = member.member_of
                held = held | {change.role} if isinstance(change, c.GrantMembership) else held - {change.role}
                self._set_role(env, replace(member, member_of=held))
            case c.CreateSchema() | c.UpdateSchemaOwner():
                found = self._database(env, change.database)
                extra: set[Grant] = set()
                migrator = role_name(change.database, "migrate_user")
                if migrator not in found.schemas.values():
                    extra = {implied_default(migrator)}
                self._set_database(
                    env,
                    replace(found, schemas={**found.schemas, change.schema: change.owner}, grants=found.grants | extra),
                )
            case c.ClaimDatabase():
                branch = self._environment(env).branch
                assert branch is not None
                self._set_database(env, replace(self._database(env, change.database), built_for=branch.id))
            case c.GrantPrivileges():
                found = self._database(env, change.database)
                self._set_database(env, replace(found, grants=found.grants | set(change.grants)))
            case c.RevokePrivileges():
                found = self._database(env, change.database)
                self._set_database(env, replace(found, grants=found.grants - set(change.grants)))
            case c.StoreSecret():
                self._store(change)
            case c.UpdateSecretMetadata():
                old = self._environment(env).secrets[change.secret]
                tags = {**old.tags, **self.desired.environments[env].aws.tags}
                kms = self.desired.environments[env].aws.kms_key_id or old.kms_key_id
                self._put(
                    env,
                    secrets={
                        **self._environment(env).secrets,
                        change.secret: replace(old, tags=tags, kms_key_id=kms),
                    },
                )
            case c.PutParameter():
                self._put(
                    env,
                    parameters={
                        **self._environment(env).parameters,
                        change.parameter: change.value or self._known(change),
                    },
                )
            case c.RunMigrations():
                self._migrate(change)
            case c.SetPublication():
                found = self._database(env, change.database)
                made = PublicationSnapshot(change.publication, change.owner, frozenset(change.tables))
                self._set_database(env, replace(found, publications={**found.publications, change.publication: made}))
            case c.DeleteBranch():
                branch = self._environment(env).branch
                assert branch is not None
                rest = EnvironmentSnapshot(
                    secrets=self._environment(env).secrets, parameters=self._environment(env).parameters
                )
                self.observed = replace(
                    self.observed,
                    environments={**self.observed.environments, env: rest},
                    branches=tuple(b for b in self.observed.branches if b.id != branch.id),
                )
            case c.DropDatabase():
                cluster = self._environment(env).cluster
                assert cluster is not None
                self._put(
                    env,
                    cluster=replace(
                        cluster, databases={k: v for k, v in cluster.databases.items() if k != change.database}
                    ),
                    api_databases={
                        k: v for k, v in self._environment(env).api_databases.items() if k != change.database
                    },
                )
            case c.DropRole():
                cluster = self._environment(env).cluster
                assert cluster is not None
                kept = {k: v for k, v in cluster.roles.items() if k != change.role}
                self._put(env, cluster=replace(cluster, roles=kept))
            case c.DeleteSecret():
                secrets = self._environment(env).secrets
                gone = replace(secrets[change.secret], deleted=True)
                self._put(env, secrets={**secrets, change.secret: gone})
            case c.DeleteParameter():
                parameters = self._environment(env).parameters
                self._put(env, parameters={k: v for k, v in parameters.items() if k != change.parameter})
            case c.Report():
                pass

    def _owner(self, environment: str) -> None:
        from neonctl.plan.observed import RoleSnapshot

        self._set_role(environment, RoleSnapshot(self.desired.platform.project.owner_role, createdb=True))

    def _known(self, change: c.PutParameter) -> str:
        snapshot = self._environment(change.environment)
        assert self.observed.project is not None
        assert snapshot.branch is not None
        assert snapshot.addresses is not None
        return {
            "project-id": self.observed.project.id,
            "branch-id": snapshot.branch.id,
            "direct-host": str(snapshot.addresses.direct),
            "pooled-host": str(snapshot.addresses.pooled),
        }[change.parameter.rsplit("/", 1)[-1]]

    def _store(self, change: c.StoreSecret) -> None:
        env = change.environment
        snapshot = self._environment(env)
        assert snapshot.branch is not None
        assert snapshot.cluster is not None
        assert snapshot.addresses is not None
        version = f"version-{next(self.numbers)}"
        role = snapshot.cluster.roles[role_name(change.database, change.role_kind)]
        aws = self.desired.environments[env].aws
        old = snapshot.secrets.get(change.secret)
        tags = {**(old.tags if old else {}), MANAGED_TAG: "neonctl", CONNECTION_TAG: connection_tag(snapshot.addresses)}
        if old is None or old.deleted:
            tags |= dict(aws.tags)
        kms = old.kms_key_id if old and not old.deleted else aws.kms_key_id
        secret = SecretSnapshot(change.secret, version, kms_key_id=kms, tags=tags)
        self._put(env, secrets={**snapshot.secrets, change.secret: secret})
        self._set_role(env, replace(role, mark=CredentialMark(snapshot.branch.id, version)))

    def _migrate(self, change: c.RunMigrations) -> None:
        env = change.environment
        found = self._database(env, change.database)
        spec = self.desired.platform.databases[change.database]
        tables = frozenset(f"{schema}.things" for schema in spec.schemas)
        refs = {ref.version: ref for ref in self.desired.migrations[change.database]}
        history = (
            *(found.history or ()),
            *(AppliedVersion(v, refs[v].script, refs[v].checksum) for v in change.versions),
        )
        defaults = {
            Grant("table", f"{grant.object.split('/')[1]}.things", grant.grantee, grant.privilege)
            for grant in found.grants
            if grant.kind == "default" and grant.object.endswith("/tables")
        }
        self._set_database(
            env, replace(found, tables=found.tables | tables, history=history, grants=found.grants | defaults)
        )
