/**
 * Which bindings outlive their activation because a closure holds them, and where the code of an
 * activation can name them.
 */
import type { Scope, ScopeManager, Variable } from "eslint-scope";
import type { Node } from "acorn";
import { Unproven } from "./unproven.ts";

export interface HeldBinding {
  name: string;
  /** Assigned after it got its first value, as far as can be seen. */
  isWritten: boolean;
}

/** Bindings to be registered at `offset`, each time that code passes there. */
export interface Registration {
  offsets: number[];
  bindings: HeldBinding[];
}

type Located = Node & { [key: string]: unknown };

const isIn = (node: Node, outer: Node): boolean =>
  node.start >= outer.start && node.end <= outer.end;

/** Raises Unproven for closures over bindings whose activation has no place to register them. */
export function findHeldBindings(manager: ScopeManager): Map<Node, Registration[]> {
  const found = new Map<Node, Registration[]>();
  for (const scope of manager.scopes) {
    if (scope.type === "global") {
      if (scope.variables.length > 0) throw new Unproven("declarations outside of the bundle");
      continue;
    }
    // The class itself is registered where it is made, and its own name cannot be assigned.
    if (scope.type === "class") continue;
    const held = scope.variables.filter((variable) => isHeld(scope, variable));
    if (held.length === 0) continue;
    const place = placeOf(scope);
    for (const variable of held) checkPlace(variable, scope, place.inside);
    const bindings = held.map((variable) => describe(scope, variable));
    const all = found.get(place.node) ?? [];
    all.push({ offsets: place.offsets, bindings });
    found.set(place.node, all);
  }
  return found;
}

function isHeld(scope: Scope, variable: Variable): boolean {
  return variable.references.some(({ from }) => from.variableScope !== scope.variableScope);
}

function describe(scope: Scope, variable: Variable): HeldBinding {
  const isConstant =
    scope.type === "function-expression-name" ||
    variable.name === "arguments" ||
    variable.defs.some(({ parent }) => (parent as { kind?: string } | null)?.kind === "const");
  return { name: variable.name, isWritten: !isConstant && isAssigned(variable) };
}

/** Declarations with a value count: a `var` may be reached again, a `let` is only cheap to keep. */
function isAssigned(variable: Variable): boolean {
  return variable.references.some((reference) => reference.isWrite());
}

interface Place {
  /** The construct that starts a new activation, in whose handling the registration is written. */
  node: Node;
  offsets: number[];
  /** Where closures must stand to see the registered activation. */
  inside: Node[];
}

function placeOf(scope: Scope): Place {
  const block = scope.block as unknown as Located;
  switch (scope.type) {
    case "function":
    case "function-expression-name": {
      const body = block["body"] as Located;
      return { node: block, offsets: [], inside: [body] };
    }
    case "block":
    case "class-static-block":
      return blockPlace(block);
    case "catch":
      return blockPlace(block["body"] as Located);
    case "for":
      return loopPlace(block["body"] as Located);
    case "switch": {
      const cases = block["cases"] as (Located & { consequent: Node[] })[];
      const filled = cases.filter(({ consequent }) => consequent.length > 0);
      const offsets = filled.map(({ consequent }) => (consequent[0] as Node).start);
      return { node: block, offsets, inside: cases };
    }
    default:
      throw new Unproven(`closures over a ${scope.type} scope`);
  }
}

/** A static block's brace is found where the block is handled. */
function blockPlace(block: Located): Place {
  const offsets = block.type === "StaticBlock" ? [] : [block.start + 1];
  return { node: block, offsets, inside: [block] };
}

function loopPlace(body: Located): Place {
  return body.type === "BlockStatement"
    ? blockPlace(body)
    : { node: body, offsets: [body.start], inside: [body] };
}

/** Parameter lists, loop heads and switch heads see other activations than bodies do. */
function checkPlace(variable: Variable, scope: Scope, inside: Node[]): void {
  for (const { identifier, from } of variable.references) {
    if (from.variableScope === scope.variableScope) continue;
    const node = identifier as unknown as Node;
    if (!inside.some((body) => isIn(node, body))) {
      throw new Unproven(`a closure over ${variable.name} outside of the body`);
    }
  }
}
