/** A reason, in words for a person, why there is no answer. */
export class Refusal extends Error {
  constructor(message, { needsKey = false } = {}) {
    super(message);
    this.needsKey = needsKey;
  }
}
