/** State of a module, of which random programs are made. */

export interface Kind {
  /** One of these is the module's code; `@` is a name of its own. */
  declare: readonly string[];
  /** Expressions over it that change nothing but what warm realms undo. */
  use: readonly string[];
  /** Expressions that change, or look at, what only fresh contexts let them. */
  write?: readonly string[];
  /** Expressions that give promises. */
  later?: readonly string[];
}
