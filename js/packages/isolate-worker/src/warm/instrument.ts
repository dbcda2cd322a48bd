/**
 * Rewrites an app's script for realms that run many executions one after the other. What is
 * inserted lets the guard in the realm (udf-runtime/src/guard) know everything that code made at
 * import can reach later, and every exception that only a frozen object can have caused. Decision
 * 0013 says why this is enough. Constructs that it cannot follow raise Unproven.
 */
import * as acorn from "acorn";
import type { AnyNode, Function, Node } from "acorn";
import { analyze } from "eslint-scope";
import vm from "node:vm";
import { SHARED_WEB_APIS } from "../../../udf-runtime/src/host_interface.ts";
import { Insertions } from "./insertions.ts";
import type { Shifts } from "./insertions.ts";
import { findParameterExpressions } from "./parameters.ts";
import { findHeldBindings } from "./scopes.ts";
import type { HeldBinding, Registration } from "./scopes.ts";
import { Unproven } from "./unproven.ts";

export interface WarmScript {
  code: string;
  shifts: Shifts;
  /** Names of the web APIs that the app uses. */
  webApis: string[];
}

/** Begins every name that is inserted; the guard knows instrumented functions by it. */
const MARK = "$fenchel";
const IS_IMPORT = `${MARK}Import`;
const ERROR = `${MARK}Error`;
const VALUE = `${MARK}V`;
const REGISTER = `${MARK}Register`;
/** An object whose properties do something when they are read. */
const STATE = `${MARK}State`;
/**
 * Calls would confuse the engine: the name of an anonymous function, which stacks show, depends on
 * the calls that follow it in the text. Tagged templates, reads, and calls with a function of their
 * own leave it as it was.
 */
const tagged = (name: string, argument: string): string => `${MARK}${name}\`\${${argument}}\``;
const SEEN_ERROR = tagged("Seen", ERROR);
const CATCH = `catch(${ERROR}){throw ${SEEN_ERROR}}`;
const ROOT_THIS = tagged("Root", "this");
const HELPERS = ["register", "bound", "root", "seen", "young", "state", "parameterEnded", "onSeal"];
const localName = (helper: string): string =>
  MARK + helper.charAt(0).toUpperCase() + helper.slice(1);
const PREFIX =
  `"use strict";(({${HELPERS.map((helper) => `${helper}:${localName(helper)}`).join(",")}})=>{` +
  `let ${IS_IMPORT}=true;${MARK}OnSeal(()=>{${IS_IMPORT}=false},`;
const SUFFIX = "\n})(__fenchelGuard)";

/** Raises Unproven. */
export function instrument(source: string): WarmScript {
  if (source.includes(MARK)) throw new Unproven(`the text ${MARK}`);
  const places: Places = { bodies: [], inParentheses: new Set() };
  const ast = parse(source, places);
  const manager = analyze(ast as never, {
    ecmaVersion: 2022,
    sourceType: "script",
    impliedStrict: true,
  });
  const writer = new Writer(source, places, findHeldBindings(manager));
  writer.visit(ast as AnyNode, []);
  writer.checkComplete();
  const { assigned, webApis, insertions } = writer;
  const script = insertions.apply(`${PREFIX}${JSON.stringify([...assigned])});`, SUFFIX);
  checkSyntax(script.code);
  return { ...script, webApis: [...webApis] };
}

/** Offsets of tokens that the syntax tree does not tell. */
interface Places {
  /** Where the body of an arrow function begins, which may be a parenthesis; ascending. */
  bodies: number[];
  /** What stands behind an opening parenthesis. */
  inParentheses: Set<number>;
}

function parse(source: string, { bodies, inParentheses }: Places): acorn.Program {
  let last = "";
  try {
    return acorn.parse(source, {
      ecmaVersion: 2025,
      sourceType: "script",
      ranges: true,
      onToken: ({ type, start }) => {
        if (last === "=>") bodies.push(start);
        if (last === "(") inParentheses.add(start);
        last = type.label;
      },
    });
  } catch (error) {
    throw new Unproven(`syntax that the parser does not know: ${String(error)}`);
  }
}

/** What became a block, or strict, may not be valid any more (two functions of one name). */
function checkSyntax(code: string): void {
  try {
    new vm.Script(code);
  } catch (error) {
    throw new Unproven(`code that cannot be strict: ${String(error)}`);
  }
}

const isNode = (value: unknown): value is AnyNode =>
  typeof value === "object" && value !== null && typeof (value as Node).type === "string";

function childrenOf(node: AnyNode): AnyNode[] {
  const children: AnyNode[] = [];
  for (const value of Object.values(node)) {
    if (isNode(value)) children.push(value);
    else if (Array.isArray(value)) children.push(...value.filter(isNode));
  }
  return children.sort((left, right) => left.start - right.start);
}

const isPrivateMember = (node: AnyNode): node is acorn.MemberExpression =>
  node.type === "MemberExpression" && node.property.type === "PrivateIdentifier";

type ClassNode = acorn.Class & AnyNode;

/** Expressions that the engine calls calls. */
const CALLS: ReadonlySet<string> = new Set([
  "CallExpression",
  "NewExpression",
  "TaggedTemplateExpression",
]);

/**
 * Tells the guard how to read what an expression names, and how to put it back. At an assignment the
 * engine names the nameless functions and classes before it in the text. That of a call leaves one
 * out instead; here, of two more, the call has taken the first.
 */
function registerCall(expression: string, isWritten: boolean): string {
  const read = `${REGISTER}(()=>${expression})`;
  return isWritten ? `${read}(${VALUE}=>{${expression}=${VALUE}(()=>0,()=>0)})` : read;
}

function privateRegistrations(elements: ClassNode["body"]["body"], isStatic: boolean): string[] {
  return elements.flatMap((element) =>
    element.type === "PropertyDefinition" &&
    element.static === isStatic &&
    element.key.type === "PrivateIdentifier"
      ? [registerCall(`this.#${element.key.name}`, true)]
      : [],
  );
}

/** Web APIs by name that realms for many executions can offer. */
const WEB_APIS: ReadonlySet<string> = new Set(SHARED_WEB_APIS);

class Writer {
  readonly insertions: Insertions;
  /** Names of the properties that are assigned somewhere. */
  readonly assigned = new Set<string>();
  readonly webApis = new Set<string>();
  readonly #places: Places;
  readonly #held: Map<Node, Registration[]>;
  readonly #registered = new Set<Node>();
  /** Numbers the private fields that are added. */
  #fields = 0;

  constructor(source: string, places: Places, held: Map<Node, Registration[]>) {
    this.insertions = new Insertions(source);
    this.#places = places;
    this.#held = held;
  }

  /** Opens before it visits the children and closes after them. */
  visit(node: AnyNode, path: readonly AnyNode[]): void {
    const close = this.#open(node, path);
    const inner = [...path, node];
    for (const child of childrenOf(node)) this.visit(child, inner);
    close?.();
  }

  /** Every activation that closures hold must have been registered. Raises Unproven. */
  checkComplete(): void {
    for (const node of this.#held.keys()) {
      if (!this.#registered.has(node)) throw new Unproven(`closures over a ${node.type}`);
    }
  }

  #open(node: AnyNode, path: readonly AnyNode[]): (() => void) | undefined {
    switch (node.type) {
      case "FunctionDeclaration":
      case "FunctionExpression":
      case "ArrowFunctionExpression":
        return this.#function(node);
      case "ClassDeclaration":
      case "ClassExpression":
        return this.#class(node);
      case "TryStatement":
        return this.#try(node);
      case "CatchClause":
        return this.#catch(node);
      case "Identifier":
        if (WEB_APIS.has(node.name)) this.webApis.add(node.name);
        return undefined;
      case "AssignmentExpression":
        return this.#noteAssigned(node.left);
      case "ImportExpression":
        throw new Unproven("import() of a module that is not in the bundle");
      case "StaticBlock":
        return this.#staticBlock(node);
      case "Super":
        return this.#super(path);
      default:
        return this.#block(node);
    }
  }

  // --- Activations ---

  #registration(bindings: readonly HeldBinding[], extra: readonly string[] = []): string {
    if (bindings.length === 0 && extra.length === 0) return "";
    const calls = bindings.map(({ name, isWritten }) => registerCall(name, isWritten));
    if (extra.includes("this")) calls.push(`${MARK}Bound(()=>this)`);
    calls.push(...extra.map((expression) => registerCall(expression, false)));
    return `if(${IS_IMPORT}){${calls.join(";")}}`;
  }

  #bindingsOf(node: Node): HeldBinding[] {
    this.#registered.add(node);
    return (this.#held.get(node) ?? []).flatMap(({ bindings }) => bindings);
  }

  #block(node: AnyNode): (() => void) | undefined {
    const registrations = this.#held.get(node) ?? [];
    if (registrations.length === 0) return undefined;
    this.#registered.add(node);
    const isStatement = node.type !== "BlockStatement" && node.type !== "SwitchStatement";
    for (const { offsets, bindings } of registrations) {
      const text = this.#registration(bindings);
      for (const offset of offsets) this.insertions.open(offset, isStatement ? `{${text}` : text);
    }
    return isStatement ? () => this.insertions.close(node.end, "}") : undefined;
  }

  #staticBlock(node: acorn.StaticBlock): undefined {
    const [first] = node.body;
    if (first === undefined) return;
    const text = this.#registration(this.#bindingsOf(node));
    if (text !== "") this.insertions.open(first.start, text);
  }

  #function(node: Function & AnyNode): (() => void) | undefined {
    const { body } = node as { body: AnyNode };
    const isBlock = body.type === "BlockStatement";
    const closeParameters = this.#parameters(node);
    if (isBlock && body.body.length === 0) return closeParameters;
    const start = isBlock ? afterDirectives(body) : this.#bodyOfArrow(body);
    const end = isBlock ? body.end - 1 : node.end;
    const text = this.#registration(this.#bindingsOf(node), hiddenValues(node));
    const isResumed = node.async || node.generator;
    const began = isResumed ? `if(${IS_IMPORT})${STATE}.began;` : "";
    const ended = isResumed ? `finally{if(${IS_IMPORT})${STATE}.ended}` : "";
    const [head, tail] = isBlock ? [";", ""] : ["{", "}"];
    this.insertions.open(start, `${head}${began}try{${text}${isBlock ? "" : "return "}`);
    return () => {
      closeParameters();
      this.insertions.close(end, `}${CATCH}${ended}${tail}`);
    };
  }

  /** Expressions in the parameter list, around which no `try` can stand. */
  #parameters(node: Function): () => void {
    const expressions = findParameterExpressions(node);
    // What is a call stays one, and so does what is none: see `tagged`. What is in parentheses stays
    // so too: the engine compiles functions there at once, with other names for what they hold.
    const began = `[${STATE}.parameterBegan,`;
    const isCall = ({ type }: AnyNode): boolean => CALLS.has(type);
    const inParentheses = ({ start }: AnyNode): boolean => this.#places.inParentheses.has(start);
    for (const expression of expressions) {
      const head = isCall(expression) ? `${MARK}ParameterEnded\`\${${began}` : began;
      this.insertions.open(expression.start, inParentheses(expression) ? `${head}(` : head);
    }
    return () => {
      for (const expression of expressions) {
        const tail = isCall(expression) ? "][1]}`" : `,${STATE}.parameterEnded][1]`;
        this.insertions.close(expression.end, inParentheses(expression) ? `)${tail}` : tail);
      }
    };
  }

  /** Without a parenthesis of the instrumenter around it: see the one before. */
  #bodyOfArrow(body: Node): number {
    const { bodies } = this.#places;
    let [low, high] = [0, bodies.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((bodies[middle] as number) <= body.start) low = middle + 1;
      else high = middle;
    }
    return bodies[low - 1] as number;
  }

  // --- Exceptions ---

  #try(node: acorn.TryStatement): (() => void) | undefined {
    const { handler, finalizer, block } = node;
    if (finalizer == null) return undefined;
    if (handler != null) this.insertions.open(node.start, "try{");
    const [end, tail] = handler == null ? [block.end, ""] : [handler.end, "}"];
    return () => this.insertions.close(end, `${tail}${CATCH}`);
  }

  #catch(node: acorn.CatchClause): undefined {
    const { param, body } = node;
    if (param != null && param.type !== "Identifier") throw new Unproven("a pattern after catch");
    if (param == null) this.insertions.open(node.start + "catch".length, `(${ERROR})`);
    this.insertions.open(body.start + 1, `${tagged("Seen", param?.name ?? ERROR)};`);
  }

  // --- Classes and private names ---

  /**
   * Private fields are put back like bindings. They exist in what their class made, and in the class;
   * that an execution adds them to an object of import is found before the first of them is there.
   */
  #class(node: ClassNode): undefined {
    const elements = node.body.body;
    checkPrivateElements(node);
    const isPrivate = elements.some(
      (element) => element.type !== "StaticBlock" && element.key.type === "PrivateIdentifier",
    );
    const hidesThis = elements.some(
      (element) =>
        element.type === "PropertyDefinition" && !element.static && usesThisInArrow(element),
    );
    const atImport = (isStatic: boolean): string =>
      [ROOT_THIS, ...privateRegistrations(elements, isStatic)].join();
    let text = `static{if(${IS_IMPORT}){${atImport(true)}}}`;
    if (isPrivate || hidesThis) {
      const field = `#${MARK}${this.#fields++}`;
      text += `${field}=${IS_IMPORT}?(${atImport(false)}):${tagged("Young", "this")};`;
    }
    this.insertions.open(node.body.start + 1, text);
  }

  #noteAssigned(target: AnyNode): undefined {
    if (target.type !== "MemberExpression") return;
    const { property, computed } = target;
    if (!computed && property.type === "Identifier") this.assigned.add(property.name);
    if (property.type === "Literal" && typeof property.value === "string")
      this.assigned.add(property.value);
  }

  /** The object of a literal whose method uses super is reachable in no other way. */
  #super(path: readonly AnyNode[]): undefined {
    const home = path.findLast(({ type }) => type === "ObjectExpression" || type === "ClassBody");
    if (home?.type !== "ClassBody") throw new Unproven("super in an object literal");
  }
}

function afterDirectives(body: acorn.BlockStatement): number {
  let offset = body.start + 1;
  for (const statement of body.body) {
    if (statement.type !== "ExpressionStatement" || statement.directive == null) break;
    offset = statement.end;
  }
  return offset;
}

/** What arrow functions of this function may hold besides its bindings. */
function hiddenValues(node: Function & AnyNode): string[] {
  if (node.type === "ArrowFunctionExpression" || !usesThisInArrow(node)) return [];
  return ["this", "new.target"];
}

/** Whether an arrow function in `node`, outside of inner functions, uses its `this` or like. */
function usesThisInArrow(node: AnyNode): boolean {
  const search = (inner: AnyNode, isInArrow: boolean): boolean => {
    if (inner.type === "ThisExpression" || inner.type === "Super" || inner.type === "MetaProperty")
      return isInArrow;
    const isFunction = inner.type === "FunctionExpression" || inner.type === "FunctionDeclaration";
    if (isFunction && inner !== node) return false;
    if (inner.type === "ClassBody") return inner.body.some((element) => keyUsesThis(element));
    const isArrow = isInArrow || inner.type === "ArrowFunctionExpression";
    return childrenOf(inner).some((child) => search(child, isArrow));
  };
  const keyUsesThis = (element: AnyNode): boolean =>
    "key" in element && "computed" in element && element.computed === true
      ? search(element.key as AnyNode, true)
      : false;
  return search(node, false);
}

/**
 * A base class may return an object of its own choice, to which private methods are then added
 * before any code could look at it; a private method read as a value is a function that no
 * property leads to.
 */
function checkPrivateElements(node: ClassNode): void {
  const methods = new Set<string>();
  for (const element of node.body.body) {
    if (element.type !== "MethodDefinition" || element.key.type !== "PrivateIdentifier") continue;
    if (node.superClass != null && !element.static) {
      throw new Unproven("a private method in a class with a base class");
    }
    if (element.kind === "method") methods.add(element.key.name);
  }
  if (methods.size > 0) checkOnlyCalled(node.body as AnyNode, methods);
}

function checkOnlyCalled(node: AnyNode, methods: ReadonlySet<string>): void {
  for (const child of childrenOf(node)) {
    const isMethod =
      isPrivateMember(child) && methods.has((child.property as acorn.PrivateIdentifier).name);
    const isCallee = node.type === "CallExpression" && node.callee === (child as Node);
    if (isMethod && !isCallee) throw new Unproven("a private method that is not just called");
    checkOnlyCalled(child, methods);
  }
}
