"""Every limit and knob in one place, with its unit in its name and its purpose beside it.

Values come from the execution specification, section 4, unless a comment says otherwise. Bounds are
those within which the rest was thought out; `setting_values` holds operators to them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionLimits:
    """What one query or mutation, with everything it calls, may do to the database."""

    documents_read_max: Annotated[int, Meta(ge=1, le=10_000_000)] = 32_000
    bytes_read_max: Annotated[int, Meta(ge=1, le=1_024 * MEBIBYTE)] = 16 * MEBIBYTE
    # Merged read-set intervals ("database queries").
    intervals_read_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 4_096
    documents_written_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 16_000
    bytes_written_max: Annotated[int, Meta(ge=1, le=1_024 * MEBIBYTE)] = 16 * MEBIBYTE
    functions_scheduled_max: Annotated[int, Meta(ge=0, le=1_000_000)] = 1_000
    scheduled_args_bytes_max: Annotated[int, Meta(ge=0, le=1_024 * MEBIBYTE)] = 16 * MEBIBYTE
    # Files that a mutation stores or reads itself (ours: the reference names no limits).
    files_read_max: Annotated[int, Meta(ge=0, le=100_000)] = 100
    file_bytes_read_max: Annotated[int, Meta(ge=0, le=64 * MEBIBYTE)] = 16 * MEBIBYTE
    files_written_max: Annotated[int, Meta(ge=0, le=100_000)] = 100
    file_bytes_written_max: Annotated[int, Meta(ge=0, le=64 * MEBIBYTE)] = 16 * MEBIBYTE
    page_size_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 32_000
    query_operators_max: Annotated[int, Meta(ge=1, le=256)] = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """Commit, log and retention knobs."""

    # Commits waiting for the committer; beyond it, CommitterFullError.
    commit_queue_count_max: int = 512
    # Commits that one durable write may carry.
    group_commit_count_max: int = 128
    # Fairness, ours (decision 0011). How long others wait for a transaction that has its turn, how
    # long it waits for the turns before its own, and how many may stand in the line.
    reservation_seconds_max: float = 2.0
    reservation_wait_seconds_max: float = 10.0
    reservation_count_max: int = 1_024
    # The in-memory commit log keeps at least this much history for conflict checks and tokens.
    commit_log_seconds_min: float = 30.0
    commit_log_seconds_max: float = 300.0
    commit_log_bytes_max: int = 50 * MEBIBYTE
    # How old a snapshot can be read; index entries that only older ones see are deleted
    # (database specification 9.4).
    snapshot_retention_seconds: float = 240.0
    # Of these the ones whose system tables are held in memory: the time in which transactions begin
    # and end (specification 7.1).
    recent_snapshot_seconds: float = 10.0
    # How far back the log has every revision: what change streams can ask for. The reference keeps
    # two weeks; a small deployment need not.
    document_retention_seconds: float = 172_800.0
    # Pause between two rounds of deletion, half of it to one and a half with jitter.
    retention_pause_seconds: float = 30.0
    # Revisions that one step of deletion looks at: a bounded hold-up for commits.
    retention_rows_per_step: int = 128
    # The repeatable timestamp follows a commit after this; without commits it moves on after a
    # random time between the other two (database specification 9.3).
    repeatable_ts_seconds: float = 5.0
    repeatable_ts_idle_seconds_min: float = 3_600.0
    repeatable_ts_idle_seconds_max: float = 7_200.0
    # Rows fetched from an index at once when a query does not say how many it wants.
    query_prefetch_rows: int = 100
    query_prefetch_rows_max: int = 1024
    # Revisions of documents kept in memory, decoded values included.
    document_cache_bytes_max: int = 128 * MEBIBYTE
    # Of those the ones that a get finds without looking into an index; mostly the same objects.
    latest_documents_bytes_max: int = 64 * MEBIBYTE
    # Index pages with their documents, mostly the same objects too.
    index_pages_bytes_max: int = 64 * MEBIBYTE
    # Live read sets; beyond it, SubscriptionsWorkerFullError.
    subscription_count_max: int = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolateSettings:
    """Worker processes and what runs in them."""

    # 0 means one per core.
    worker_count: Annotated[int, Meta(ge=0, le=256)] = 0
    # Processor time of JavaScript in a query or mutation; system calls do not count.
    user_time_seconds_max: Annotated[float, Meta(ge=0.01, le=600)] = 1.0
    system_time_seconds_max: Annotated[float, Meta(ge=0.1, le=600)] = 15.0
    action_seconds_max: Annotated[float, Meta(ge=0.01, le=86_400)] = 1_800.0
    analyze_seconds_max: Annotated[float, Meta(ge=0.1, le=600)] = 4.0
    # Schema, auth config, app and component definitions, each.
    evaluation_seconds_max: Annotated[float, Meta(ge=0.1, le=600)] = 1.0
    # Of an isolate. Of the heap 32 are the runtime's. The engine has one limit for heap and array
    # buffers, which is the sum: what fits into both, fits.
    heap_mebibytes_max: Annotated[int, Meta(ge=48, le=4_096)] = 96
    array_buffer_mebibytes_max: Annotated[int, Meta(ge=0, le=4_096)] = 64
    # Evaluated apps that are kept in the data folder for the next start; 0 keeps none.
    snapshot_cache_bytes_max: Annotated[int, Meta(ge=0, le=65_536 * MEBIBYTE)] = 256 * MEBIBYTE
    # Of the app's JavaScript; the worker's has 512 more, and native code what is left of the 8 MiB
    # of a thread.
    stack_kibibytes_max: Annotated[int, Meta(ge=256, le=4_096)] = 2_048
    # Writable address space of a worker process: 600 MiB to boot and 560 MiB for each isolate, most
    # of it reserved for code and never touched. Room for as many isolates as there may be
    # executions, for each may keep an old one alive, and a few more: V8 ends the process, with all
    # that runs in it, when it cannot reserve. A bomb beyond V8's own limits ends here.
    worker_data_bytes_max: Annotated[int, Meta(ge=1_024 * MEBIBYTE, le=1_048_576 * MEBIBYTE)] = (
        16_384 * MEBIBYTE
    )
    # Memory that a worker really uses, looked at twice a second; in normal service below 300 MiB.
    worker_resident_bytes_max: Annotated[int, Meta(ge=256 * MEBIBYTE, le=1_048_576 * MEBIBYTE)] = (
        1_024 * MEBIBYTE
    )
    # A worker beyond any of these is replaced without haste: memory that V8 and the C library keep,
    # age, executions.
    worker_resident_bytes_worn: Annotated[int, Meta(ge=128 * MEBIBYTE, le=1_048_576 * MEBIBYTE)] = (
        512 * MEBIBYTE
    )
    worker_seconds_max: Annotated[float, Meta(ge=1, le=31_536_000)] = 86_400.0
    worker_executions_max: Annotated[int, Meta(ge=1, le=2**32 - 2)] = 1_000_000
    # One that had nothing to do for so long ends; the last one for queries and mutations stays.
    worker_idle_seconds_max: Annotated[float, Meta(ge=1, le=31_536_000)] = 600.0
    # Contexts served by one isolate before its garbage costs more than a new isolate.
    contexts_per_isolate_max: Annotated[int, Meta(ge=1, le=10_000)] = 50
    # Code that a worker keeps ready: of the app, of each component, and of the push before. Each
    # keeps an isolate; what is not there is loaded again, for tens of milliseconds.
    bundles_per_worker_max: Annotated[int, Meta(ge=1, le=64)] = 8
    contexts_ahead: Annotated[int, Meta(ge=0, le=100)] = 3
    # Realms per worker that run many queries and mutations, each as if it were fresh
    # (decision 0027); 0 makes a fresh context for each execution. Each takes an isolate.
    warm_realms_max: Annotated[int, Meta(ge=0, le=16)] = 2
    # Memory of these together: the heaps of their isolates.
    warm_realm_bytes_max: Annotated[int, Meta(ge=MEBIBYTE, le=4_096 * MEBIBYTE)] = 96 * MEBIBYTE
    # Executions within a minute that make an app worth them: each takes processor time to make, and
    # memory. 0: from the first execution on, for tests.
    warm_after_executions: Annotated[int, Meta(ge=0, le=1_000_000)] = 128
    # How long a worker may be silent inside one JavaScript turn beyond the user's limit before it
    # is killed.
    hang_grace_seconds: Annotated[float, Meta(ge=0.05, le=60)] = 1.0
    # System calls of an action that are under way at once (execution 4.3, "concurrent IO").
    concurrent_calls_max: Annotated[int, Meta(ge=1, le=4_000)] = 1_000
    # JavaScript of one worker runs on one thread; more than this only keeps isolates alive.
    executions_per_worker_max: Annotated[int, Meta(ge=1, le=256)] = 16
    # Processor time of a turn after which those who share its worker go elsewhere and nothing new
    # comes (decision 0032).
    shared_turn_seconds_max: Annotated[float, Meta(ge=0.001, le=60)] = 0.015
    # Further workers while such turns hold up theirs, for queries and mutations and for actions
    # each, and how long they stay after the last one; beyond these all wait.
    relief_workers_max: Annotated[int, Meta(ge=0, le=256)] = 4
    relief_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 60.0
    # Actions and HTTP actions at once (execution 4.4), for which further workers start; 0 means 64,
    # or as many as a worker per core takes if that is more. Those that actions call do not count;
    # with them there are twice as many at most. Others wait, scheduled ones however long it takes.
    concurrent_actions_max: Annotated[int, Meta(ge=0, le=4_096)] = 0
    action_wait_seconds_max: Annotated[float, Meta(ge=0.01, le=600)] = 10.0
    queue_count_max: Annotated[int, Meta(ge=0, le=1_000_000)] = 2_000
    queue_wait_seconds_max: Annotated[float, Meta(ge=0.01, le=600)] = 5.0
    argument_bytes_max: Annotated[int, Meta(ge=1, le=64 * MEBIBYTE)] = 16 * MEBIBYTE
    result_bytes_max: Annotated[int, Meta(ge=1, le=64 * MEBIBYTE)] = 16 * MEBIBYTE
    # Of one execution, and UTF-8 bytes of its messages in one line.
    log_lines_max: Annotated[int, Meta(ge=0, le=10_000)] = 256
    log_line_bytes_max: Annotated[int, Meta(ge=64, le=MEBIBYTE)] = 32_768
    call_depth_max: Annotated[int, Meta(ge=0, le=64)] = 8
    worker_start_seconds_max: Annotated[float, Meta(ge=0.1, le=600)] = 30.0

    @property
    def execution_seconds_max(self) -> float:
        """One attempt of a query or mutation, in JavaScript and in system calls together."""
        return self.user_time_seconds_max + self.system_time_seconds_max


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressSettings:
    """What `fetch` of actions may reach, and how long and large its exchanges may be. All ours:
    the reference names no limits.
    """

    # Loopback, private networks, link-local and the like. A deployment that runs foreign code, or
    # that stands beside services which trust their network, turns it off.
    private_addresses_allowed: bool = True
    # Host names, or `*.` and a domain. Denied wins; nothing allowed means everything is.
    hosts_denied: tuple[str, ...] = ()
    hosts_allowed: tuple[str, ...] = ()
    connect_seconds_max: float = 30.0
    # Until the head of the response is there, the upload of the body included.
    response_seconds_max: float = 600.0
    # Between two pieces of a response: models that think may be silent for minutes.
    silence_seconds_max: float = 300.0
    header_bytes_max: int = 65_536
    # Decoded. The isolate's memory ends long before for code that keeps what it reads.
    response_bytes_max: int = 16 * 1024 * MEBIBYTE
    # One answer to a read of the realm.
    chunk_bytes_max: int = 65_536
    # Of the whole deployment; further requests wait.
    connection_count_max: int = 1_000
    streams_per_action_max: int = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationSettings:
    """Retries, caches and background work."""

    occ_retries_max: int = 4
    # The retries after these reserve their turn, so that they do not lose again (decision 0011).
    occ_retries_unreserved: int = 2
    occ_backoff_seconds_initial: float = 0.1
    occ_backoff_seconds_max: float = 2.0
    query_cache_bytes_max: int = 100 * MEBIBYTE
    # Results that observed the clock are served at most this long.
    query_cache_time_dependent_seconds_max: float = 17.0
    scheduler_parallelism: int = 8
    cron_parallelism: int = 8
    function_log_entries_max: int = 1_000
    redact_errors: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotSettings:
    """Exports and imports of whole deployments (database specification 10)."""

    # Rows that an export holds in memory at once.
    export_page_rows: int = 1_000
    # Rows that one page of a streaming export looks at: of a snapshot, and of what changed.
    streaming_snapshot_rows: int = 1_024
    streaming_change_rows: int = 1_024
    # Documents per table that a description of its columns looks at.
    described_rows: int = 1_024
    # Snapshots that are listed page by page stay readable for so long after the last page. The one
    # whose last page is the longest ago goes when one too many begins.
    listed_snapshot_seconds: float = 1_800.0
    listed_snapshots_max: int = 16
    # How long a finished export can be downloaded, unless the caller sets another time.
    export_seconds_kept: int = 7 * 86_400
    # One transaction of an import: small enough that other requests do not notice its work.
    import_batch_rows: int = 500
    import_batch_bytes: int = 4 * MEBIBYTE
    # The CLI sends parts of 5 MiB, and larger ones if a file would need more than 9,999 of them.
    import_part_bytes_max: int = 64 * MEBIBYTE
    import_part_count_max: int = 9_999
    # Uploads that are not finished; the oldest is forgotten when one too many starts.
    import_uploads_max: int = 16
    # A JSON array is parsed as a whole.
    import_json_array_bytes_max: int = 16 * MEBIBYTE
    # One line of a JSONL file or one cell of a CSV file: a document of 1 MiB has escapes and names.
    import_line_bytes_max: int = 16 * MEBIBYTE
    # An import that is older fails.
    import_seconds_max: int = 7 * 86_400
    # Failures of the system without progress in between; then the import fails.
    import_attempts_max: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncSettings:
    """One client connection."""

    ping_seconds: float = 15.0
    client_silence_seconds_max: float = 120.0
    mutation_queue_count_max: int = 1_000
    action_count_max: int = 1_000
    # One mutation, its retries included; beyond it the connection closes (client-protocol 3.10).
    mutation_seconds_max: float = 60.0
    # Queries of one connection that run at once, and of all of them: enough to keep the workers
    # busy, without a line in which mutations would have to wait.
    query_parallelism: int = 20
    shared_query_parallelism: int = 32
    # How long connections are advanced before other work of the process has its turn.
    turn_seconds_max: float = 0.002
    message_bytes_max: int = 64 * MEBIBYTE
    transition_chunk_bytes: int = 5_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """HTTP."""

    function_body_bytes_max: int = 16 * MEBIBYTE + 2_000
    push_body_bytes_max: int = 200_000_000
    request_seconds_max: float = 300.0
    # HTTP actions: bodies both ways, and how long a client may neither send nor read while the
    # action waits for it.
    http_action_body_bytes_max: Annotated[int, Meta(ge=0, le=1_048_576 * MEBIBYTE)] = 20 * MEBIBYTE
    http_action_response_bytes_max: Annotated[int, Meta(ge=0, le=1_048_576 * MEBIBYTE)] = (
        20 * MEBIBYTE
    )
    http_action_silence_seconds_max: float = 60.0
    concurrent_requests_max: int = 1_024
    drain_seconds_max: float = 10.0
    # Complete responses kept for equal requests, beside the query cache that says if they hold.
    answer_cache_bytes_max: int = 32 * MEBIBYTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    transaction: TransactionLimits = field(default_factory=TransactionLimits)
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    isolate: IsolateSettings = field(default_factory=IsolateSettings)
    egress: EgressSettings = field(default_factory=EgressSettings)
    application: ApplicationSettings = field(default_factory=ApplicationSettings)
    snapshot: SnapshotSettings = field(default_factory=SnapshotSettings)
    sync: SyncSettings = field(default_factory=SyncSettings)
    server: ServerSettings = field(default_factory=ServerSettings)
