import { type Kysely, sql } from 'kysely'

/** What the provisioning listener and the enrolment of BMCs store. */
export async function up(db: Kysely<never>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}

const statements = [
  `alter table server add column bmc_identity jsonb not null default 'null'`,
  // Servers are found by the ports that they boot from.
  `create index server_macs on server using gin ((agent_boot -> 'macs'))`,
  `alter table boot_secret add column fetched_by text`,
]
