/** Contexts of one kind, made ahead of the executions that take them. */
import { Generation } from "./generation.ts";
import type { RealmSource } from "./generation.ts";
import { IsolateLost } from "./realm_context.ts";
import type { RealmContext } from "./realm_context.ts";

export class ContextPool {
  readonly #source: RealmSource;
  /** Generations that may still start executions, oldest first. */
  #open: Generation[] = [];

  constructor(source: RealmSource) {
    this.#source = source;
  }

  /** A context for one execution, prepared ahead if possible. */
  take(): RealmContext {
    this.#open = this.#open.filter((generation) => generation.canMake || generation.readyCount > 0);
    const free = this.#open.filter((generation) => generation.canTake);
    const generation =
      free.find(({ readyCount }) => readyCount > 0) ?? free[0] ?? this.#openGeneration();
    try {
      return generation.take();
    } catch (error) {
      if (!(error instanceof IsolateLost)) throw error;
      return this.#openGeneration().take();
    }
  }

  /** Prepares the first context, in an isolate in which a call was made: who loads has the time. */
  prepareFirst(): void {
    const { header, script } = this.#source;
    if (header.contextsAhead === 0) return;
    // Without a snapshot the call would evaluate the app's modules.
    if (script === null) this.#openGeneration().breakIn();
    this.prepareOne();
  }

  /** Prepares one context if fewer are ready than wanted. Returns whether it did. */
  prepareOne(): boolean {
    const ready = this.#open.reduce((sum, generation) => sum + generation.readyCount, 0);
    if (ready >= this.#source.header.contextsAhead) return false;
    const generation = this.#open.find(({ canMake }) => canMake) ?? this.#openGeneration();
    try {
      generation.prepare();
    } catch (error) {
      // The next one is prepared in another isolate.
      if (!(error instanceof IsolateLost)) throw error;
    }
    return true;
  }

  retire(): void {
    for (const generation of this.#open.splice(0)) generation.retire();
  }

  #openGeneration(): Generation {
    const generation = new Generation(this.#source, this.#source.header.contextsPerIsolate);
    this.#open.push(generation);
    return generation;
  }
}
