import { type Kysely, sql } from 'kysely'

/** Everything that the first release stores. */
export async function up(db: Kysely<never>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}

const statements = [
  `create table account (
    name text primary key,
    created_at timestamptz not null default clock_timestamp()
  )`,
  `create table application (
    id integer generated always as identity primary key,
    application_key text not null unique,
    application_secret bytea not null
  )`,
  `create table credential (
    id integer generated always as identity primary key,
    application_id integer not null references application,
    consumer_key_hash text not null unique,
    account text not null references account,
    operator boolean not null,
    rules jsonb not null,
    description text not null,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz,
    revoked_at timestamptz
  )`,
  `create table server (
    id integer generated always as identity primary key,
    service_name text not null unique,
    account text not null references account,
    boot text not null check (boot in ('uefi', 'legacy')),
    bmc_kind text not null,
    bmc_settings jsonb not null,
    bmc_password bytea,
    disk_groups jsonb not null,
    epoch bigint not null default 0,
    power_state text check (power_state in ('on', 'off')),
    own_image boolean not null default false,
    created_at timestamptz not null default clock_timestamp()
  )`,
  `create index server_account on server (account, service_name)`,
  // No reference to the server: the history of a server that was removed stays.
  `create table deployment (
    id uuid primary key,
    server_id integer not null,
    service_name text not null,
    account text not null,
    kind text not null check (kind in ('deploy', 'rescue')),
    state text not null check (state in ('open', 'done', 'error', 'cancelled', 'hold')),
    phase text not null,
    epoch bigint not null,
    request jsonb not null,
    secrets bytea,
    secrets_key bytea,
    evidence jsonb not null,
    attempts jsonb not null,
    tries integer not null default 0,
    bytes_done bigint not null default 0,
    bytes_total bigint,
    bytes_per_second bigint not null default 0,
    seconds_left bigint,
    progressed boolean not null default false,
    disk text not null default 'untouched',
    checksum text,
    failure jsonb not null default 'null',
    hold text,
    steps jsonb not null,
    notes jsonb not null,
    log jsonb not null,
    cancel_at timestamptz,
    cancels uuid,
    forgotten boolean not null default false,
    due timestamptz,
    deadline timestamptz not null,
    version bigint not null default 1,
    agent_seen_at timestamptz,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz
  )`,
  `create unique index deployment_one_open on deployment (server_id) where state in ('open', 'hold')`,
  `create index deployment_due on deployment (due) where state = 'open'`,
  `create index deployment_newest on deployment (server_id, created_at desc)`,
  `create table boot_secret (
    server_id integer not null,
    epoch bigint not null,
    deployment_id uuid not null references deployment,
    hash text not null,
    secret bytea,
    expires_at timestamptz not null,
    used_at timestamptz,
    primary key (server_id, epoch)
  )`,
  `create table agent_session (
    lease text primary key,
    server_id integer not null,
    epoch bigint not null,
    deployment_id uuid not null references deployment,
    public_key bytea not null,
    disks jsonb not null,
    sequence bigint not null default 0,
    last_message text,
    created_at timestamptz not null default clock_timestamp(),
    unique (server_id, epoch)
  )`,
  `create table audit (
    id bigint primary key,
    at timestamptz not null,
    actor text not null,
    action text not null,
    service_name text,
    deployment_id uuid,
    epoch bigint,
    detail jsonb not null,
    previous_hash text not null,
    hash text not null
  )`,
  `create function audit_is_append_only() returns trigger language plpgsql as
    $$ begin raise exception 'audit rows are never changed'; end $$`,
  `create trigger audit_append_only before update or delete or truncate on audit
    for each statement execute function audit_is_append_only()`,
  `create table replay (
    signature_hash text primary key,
    expires_at timestamptz not null
  )`,
  `create index replay_expires on replay (expires_at)`,
]
