/** What runs in parameter lists, outside of the function's body. */
import type { AnyNode, Function } from "acorn";
import { Unproven } from "./unproven.ts";

/** Default values and computed keys that may throw what no function of the app would see. */
export function findParameterExpressions(node: Function): AnyNode[] {
  const found: AnyNode[] = [];
  for (const parameter of node.params) findInPattern(parameter as AnyNode, found);
  return found;
}

function findInPattern(pattern: AnyNode, found: AnyNode[]): void {
  switch (pattern.type) {
    case "AssignmentPattern":
      findInPattern(pattern.left as AnyNode, found);
      addUnlessHarmless(pattern.right as AnyNode, found);
      return;
    case "ArrayPattern":
      for (const element of pattern.elements) {
        if (element !== null) findInPattern(element as AnyNode, found);
      }
      return;
    case "ObjectPattern":
      for (const property of pattern.properties as AnyNode[]) findInPattern(property, found);
      return;
    case "Property":
      if (pattern.computed) addUnlessHarmless(pattern.key as AnyNode, found);
      findInPattern(pattern.value as AnyNode, found);
      return;
    case "RestElement":
      findInPattern(pattern.argument as AnyNode, found);
      return;
    default:
  }
}

function addUnlessHarmless(expression: AnyNode, found: AnyNode[]): void {
  if (expression.type === "ClassExpression") throw new Unproven("a class in a parameter list");
  if (!isHarmless(expression)) found.push(expression);
}

/** Whether it runs no native code that writes. Getters are functions with a body. */
function isHarmless(node: AnyNode): boolean {
  switch (node.type) {
    case "Literal":
    case "Identifier":
    case "ThisExpression":
    case "ArrowFunctionExpression":
    case "FunctionExpression":
      return true;
    case "TemplateLiteral":
      return node.expressions.length === 0;
    case "UnaryExpression":
      return node.operator !== "delete" && node.argument.type === "Literal";
    case "ArrayExpression":
      return node.elements.every((element) => element !== null && isHarmless(element as AnyNode));
    case "ObjectExpression":
      return (node.properties as AnyNode[]).every(
        (property) =>
          property.type === "Property" &&
          !property.computed &&
          isHarmless(property.value as AnyNode),
      );
    case "MemberExpression":
      return (
        !node.computed && node.property.type === "Identifier" && isHarmless(node.object as AnyNode)
      );
    default:
      return false;
  }
}
