"""What each request may carry, by hand from Neon's OpenAPI document; the contract test proves agreement."""

from __future__ import annotations

from neonctl.local.api.validation import (
    array,
    boolean,
    identifier,
    integer,
    mapping,
    members,
    moment,
    nullable,
    number,
    string,
    truth_text,
    whole_number_text,
)

_compute_unit = number(minimum=0.25)
_count = integer(minimum=0)
_suspend_timeout = integer(minimum=-1, maximum=604800)
_name = string(minimum=1, maximum=256)
_preload_libraries = members({"use_defaults": boolean, "enabled_libraries": array(string())})

_project_settings = members(
    {
        "quota": members(
            {
                "active_time_seconds": _count,
                "compute_time_seconds": _count,
                "written_data_bytes": _count,
                "data_transfer_bytes": _count,
                "logical_size_bytes": _count,
            }
        ),
        "allowed_ips": members({"ips": array(string()), "protected_branches_only": boolean}),
        "enable_logical_replication": boolean,
        "maintenance_window": members(
            {"weekdays": array(integer()), "start_time": string(), "end_time": string()},
            required=("weekdays", "start_time", "end_time"),
        ),
        "block_public_connections": boolean,
        "block_vpc_connections": boolean,
        "audit_log_level": string(one_of=("base", "extended", "full")),
        "hipaa": boolean,
        "preload_libraries": _preload_libraries,
    }
)
_default_endpoint_settings = members(
    {
        "pg_settings": mapping(),
        "pgbouncer_settings": mapping(),
        "autoscaling_limit_min_cu": _compute_unit,
        "autoscaling_limit_max_cu": _compute_unit,
        "suspend_timeout_seconds": _suspend_timeout,
    }
)
_endpoint_settings = members(
    {"pg_settings": mapping(), "pgbouncer_settings": mapping(), "preload_libraries": _preload_libraries}
)
_endpoint_type = string(one_of=("read_only", "read_write"))
_history = integer(minimum=0, maximum=2592000)

PROJECT_CREATE = members(
    {
        "project": members(
            {
                "settings": _project_settings,
                "name": _name,
                "branch": members(
                    {
                        "name": _name,
                        "role_name": string(),
                        "database_name": string(),
                        "annotations": mapping(maximum=50),
                    }
                ),
                "autoscaling_limit_min_cu": _compute_unit,
                "autoscaling_limit_max_cu": _compute_unit,
                "provisioner": string(),
                "region_id": string(),
                "default_endpoint_settings": _default_endpoint_settings,
                "pg_version": integer(minimum=14, maximum=19),
                "store_passwords": boolean,
                "history_retention_seconds": _history,
                "org_id": identifier,
            }
        )
    },
    required=("project",),
)
PROJECT_UPDATE = members(
    {
        "project": members(
            {
                "settings": _project_settings,
                "name": _name,
                "default_endpoint_settings": _default_endpoint_settings,
                "history_retention_seconds": _history,
            }
        )
    },
    required=("project",),
)
BRANCH_CREATE = members(
    {
        "endpoints": array(
            members(
                {
                    "type": _endpoint_type,
                    "settings": _endpoint_settings,
                    "autoscaling_limit_min_cu": _compute_unit,
                    "autoscaling_limit_max_cu": _compute_unit,
                    "provisioner": string(),
                    "suspend_timeout_seconds": _suspend_timeout,
                },
                required=("type",),
            )
        ),
        "branch": members(
            {
                "parent_id": identifier,
                "name": _name,
                "parent_lsn": string(),
                "parent_timestamp": moment,
                "protected": boolean,
                "archived": boolean,
                "init_source": string(),
                "expires_at": moment,
            }
        ),
        "annotation_value": mapping(maximum=50),
    }
)
BRANCH_UPDATE = members(
    {"branch": members({"name": _name, "protected": boolean, "expires_at": nullable(moment)})},
    required=("branch",),
)
BRANCH_RESTORE = members(
    {
        "source_branch_id": identifier,
        "source_lsn": string(),
        "source_timestamp": moment,
        "preserve_under_name": string(),
    },
    required=("source_branch_id",),
)
_endpoint_common = {
    "settings": _endpoint_settings,
    "autoscaling_limit_min_cu": _compute_unit,
    "autoscaling_limit_max_cu": _compute_unit,
    "provisioner": string(),
    "pooler_enabled": boolean,
    "pooler_mode": string(one_of=("transaction",)),
    "disabled": boolean,
    "passwordless_access": boolean,
    "suspend_timeout_seconds": _suspend_timeout,
    "name": string(minimum=1, maximum=64),
    "branch_id": identifier,
}
ENDPOINT_CREATE = members(
    {
        "endpoint": members(
            {**_endpoint_common, "region_id": string(), "type": _endpoint_type},
            required=("branch_id", "type"),
        )
    },
    required=("endpoint",),
)
ENDPOINT_UPDATE = members({"endpoint": members(_endpoint_common)}, required=("endpoint",))
DATABASE_CREATE = members(
    {"database": members({"name": string(), "owner_name": string()}, required=("name", "owner_name"))},
    required=("database",),
)
DATABASE_UPDATE = members({"database": members({"name": string(), "owner_name": string()})}, required=("database",))
ROLE_CREATE = members(
    {"role": members({"name": string(), "no_login": boolean}, required=("name",))}, required=("role",)
)

PROJECT_LIST_QUERY = {
    "cursor": string(),
    "limit": whole_number_text(minimum=1, maximum=400),
    "search": string(),
    "org_id": identifier,
    "timeout": whole_number_text(minimum=100, maximum=30000),
    "recoverable": truth_text,
}
BRANCH_LIST_QUERY = {
    "search": string(),
    "sort_by": string(one_of=("name", "created_at", "updated_at")),
    "cursor": string(),
    "sort_order": string(one_of=("asc", "desc")),
    "limit": whole_number_text(minimum=1, maximum=10000),
    "include_deleted": truth_text,
}
OPERATION_LIST_QUERY = {"cursor": string(), "limit": whole_number_text(minimum=1, maximum=1000)}
CONNECTION_URI_QUERY = {
    "branch_id": identifier,
    "endpoint_id": identifier,
    "database_name": string(),
    "role_name": string(),
    "pooled": truth_text,
}
REGION_LIST_QUERY = {"org_id": identifier}
BRANCH_COUNT_QUERY = {"search": string()}
BRANCH_DELETE_QUERY = {"hard_delete": truth_text}
