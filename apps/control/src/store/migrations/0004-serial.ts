import { type Kysely, sql } from 'kysely'

/** Serial consoles: what they showed, who watches, and how it stands with each one. */
export async function up(db: Kysely<never>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}

const statements = [
  // One for each deployment, and one for each server for what is shown outside of any.
  `create table serial_recording (
    id bigint generated always as identity primary key,
    server_id integer not null,
    deployment_id uuid references deployment,
    bytes bigint not null,
    reset_at bigint,
    written_at timestamptz not null default clock_timestamp(),
    unique nulls not distinct (server_id, deployment_id)
  )`,
  `create index serial_recording_deployment on serial_recording (deployment_id)`,
  `create index serial_recording_written on serial_recording (written_at)`,
  `create table serial_output (
    id bigint generated always as identity primary key,
    recording_id bigint not null references serial_recording on delete cascade,
    server_id integer not null,
    position bigint not null,
    at timestamptz not null default clock_timestamp(),
    data bytea not null,
    unique (recording_id, position)
  )`,
  `create index serial_output_server on serial_output (server_id, id)`,
  `create table serial_console (
    server_id integer primary key references server on delete cascade,
    state text not null,
    message text
  )`,
  `create table serial_viewer (
    id uuid primary key,
    server_id integer not null references server on delete cascade,
    seen_at timestamptz not null default clock_timestamp()
  )`,
  `create index serial_viewer_seen on serial_viewer (seen_at)`,
  `create table serial_ticket (
    hash text primary key,
    server_id integer not null references server on delete cascade,
    credential_id integer not null references credential,
    readonly boolean not null,
    expires_at timestamptz not null
  )`,
  // Whose consoles are wanted is asked every second.
  `create index deployment_ends on deployment (coalesce(ended_at, timestamptz 'infinity'))`,
]
