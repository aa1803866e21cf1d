import { type Kysely, sql } from 'kysely'

/** What servers with a real BMC need beside file-backed ones. */
export async function up(db: Kysely<never>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}

const statements = [
  `alter table server
    add column agent_boot jsonb not null default 'null',
    add column found jsonb not null default 'null',
    add column rescue_ssh_key text,
    add column efi_bootloader_path text`,
  `alter table deployment drop constraint deployment_kind_check`,
  `alter table deployment
    add constraint deployment_kind_check check (kind in ('deploy', 'rescue', 'inspect')),
    add column booted jsonb not null default 'null',
    add column rescue jsonb not null default 'null',
    add column phone_home_hash text unique`,
  `alter table boot_secret
    add column token_hash text unique,
    add column fetched_at timestamptz`,
]
