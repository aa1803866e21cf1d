/** An answer other than 200. 401 discloses nothing; its text is for logs of the agent's side only. */
export class AgentRefusal extends Error {
  readonly status: 401 | 400 | 409 | 410 | 426

  constructor(status: AgentRefusal['status'], message: string) {
    super(message)
    this.name = 'AgentRefusal'
    this.status = status
  }
}

export const notTheAgent = (): AgentRefusal => new AgentRefusal(401, 'This is not the agent of that lease.')
export const epochOver = (): AgentRefusal =>
  new AgentRefusal(410, 'The epoch is over: stop, write nothing more, and power off.')
export const tryLater = (): AgentRefusal => new AgentRefusal(409, 'Try again later.')
