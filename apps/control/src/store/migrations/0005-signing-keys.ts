import { type Kysely, sql } from 'kysely'

/** Public keys that accounts register, for the signatures of their images. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql
    .raw(
      `create table signing_key (
        account text not null references account,
        name text not null,
        format text not null,
        ids jsonb not null,
        key text not null,
        created_at timestamptz not null default clock_timestamp(),
        primary key (account, name)
      )`,
    )
    .execute(db)
}
