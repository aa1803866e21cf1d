/** Why the lab cannot do what was asked: a sentence or two, with what to do about it. Exit status 1. */
export class LabError extends Error {}
