"""What an app declares: function paths, validators, schemas, module analysis, auth. Pure."""

from fenchel.definitions.auth_config import (
    AuthProvider,
    CustomJwtProvider,
    OidcProvider,
    decode_auth_config,
    decode_auth_provider,
    encode_auth_provider,
)
from fenchel.definitions.component_definition import (
    ComponentDefinition,
    ComponentInstance,
    EnvironmentBinding,
    bind_environment,
    decode_component_definition,
    instantiate,
    names_in_parent,
    place_site_url,
)
from fenchel.definitions.cron_schedule import check_cron_schedule, first_run_ns, run_after
from fenchel.definitions.declared_variables import (
    VariableProblems,
    check_declarations,
    find_variable_problems,
)
from fenchel.definitions.function_path import (
    FunctionPath,
    decode_function_path,
    decode_module_path,
)
from fenchel.definitions.json_schema import JsonSchema, SchemaWriter, finish_schema
from fenchel.definitions.module_analysis import (
    AnalyzedCron,
    AnalyzedFunction,
    AnalyzedHttpRoute,
    AnalyzedModule,
    CronSpec,
    HttpRoute,
    SourcePosition,
    Visibility,
    decode_analyzed_module,
    encode_analyzed_module,
)
from fenchel.definitions.schema import (
    EMPTY_SCHEMA,
    DatabaseIndex,
    Index,
    SchemaDefinition,
    SearchIndex,
    TableDefinition,
    VectorIndex,
)
from fenchel.definitions.schema_decoding import decode_schema
from fenchel.definitions.validator import Validator, decode_validator, render_validator
from fenchel.definitions.validator_check import TableNames, check_validator

__all__ = [
    "EMPTY_SCHEMA",
    "AnalyzedCron",
    "AnalyzedFunction",
    "AnalyzedHttpRoute",
    "AnalyzedModule",
    "AuthProvider",
    "ComponentDefinition",
    "ComponentInstance",
    "CronSpec",
    "CustomJwtProvider",
    "DatabaseIndex",
    "EnvironmentBinding",
    "FunctionPath",
    "HttpRoute",
    "Index",
    "JsonSchema",
    "OidcProvider",
    "SchemaDefinition",
    "SchemaWriter",
    "SearchIndex",
    "SourcePosition",
    "TableDefinition",
    "TableNames",
    "Validator",
    "VariableProblems",
    "VectorIndex",
    "Visibility",
    "bind_environment",
    "check_cron_schedule",
    "check_declarations",
    "check_validator",
    "decode_analyzed_module",
    "decode_auth_config",
    "decode_auth_provider",
    "decode_component_definition",
    "decode_function_path",
    "decode_module_path",
    "decode_schema",
    "decode_validator",
    "encode_analyzed_module",
    "encode_auth_provider",
    "find_variable_problems",
    "finish_schema",
    "first_run_ns",
    "instantiate",
    "names_in_parent",
    "place_site_url",
    "render_validator",
    "run_after",
]
