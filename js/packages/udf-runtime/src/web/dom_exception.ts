/** `DOMException` of Web IDL. */
import { NativeError, defineProperty } from "../primordials.ts";

/**
 * Names with a legacy code, which is their position here plus one; gaps are codes that no longer
 * exist.
 */
const LEGACY_NAMES = [
  ["IndexSizeError", "INDEX_SIZE_ERR"],
  ["", "DOMSTRING_SIZE_ERR"],
  ["HierarchyRequestError", "HIERARCHY_REQUEST_ERR"],
  ["WrongDocumentError", "WRONG_DOCUMENT_ERR"],
  ["InvalidCharacterError", "INVALID_CHARACTER_ERR"],
  ["", "NO_DATA_ALLOWED_ERR"],
  ["NoModificationAllowedError", "NO_MODIFICATION_ALLOWED_ERR"],
  ["NotFoundError", "NOT_FOUND_ERR"],
  ["NotSupportedError", "NOT_SUPPORTED_ERR"],
  ["InUseAttributeError", "INUSE_ATTRIBUTE_ERR"],
  ["InvalidStateError", "INVALID_STATE_ERR"],
  ["SyntaxError", "SYNTAX_ERR"],
  ["InvalidModificationError", "INVALID_MODIFICATION_ERR"],
  ["NamespaceError", "NAMESPACE_ERR"],
  ["InvalidAccessError", "INVALID_ACCESS_ERR"],
  ["", "VALIDATION_ERR"],
  ["TypeMismatchError", "TYPE_MISMATCH_ERR"],
  ["SecurityError", "SECURITY_ERR"],
  ["NetworkError", "NETWORK_ERR"],
  ["AbortError", "ABORT_ERR"],
  ["URLMismatchError", "URL_MISMATCH_ERR"],
  ["QuotaExceededError", "QUOTA_EXCEEDED_ERR"],
  ["TimeoutError", "TIMEOUT_ERR"],
  ["InvalidNodeTypeError", "INVALID_NODE_TYPE_ERR"],
  ["DataCloneError", "DATA_CLONE_ERR"],
] as const;

export class DOMException extends NativeError {
  readonly #name: string;

  constructor(message: unknown = "", options: unknown = "Error") {
    super(String(message));
    const isObject = typeof options === "object" && options !== null;
    const { name = "Error", cause } = isObject
      ? (options as { name?: unknown; cause?: unknown })
      : { name: options };
    this.#name = String(name);
    if (cause !== undefined)
      defineProperty(this, "cause", { value: cause, writable: true, configurable: true });
  }

  override get name(): string {
    return this.#name;
  }

  get code(): number {
    return LEGACY_NAMES.findIndex(([name]) => name === this.#name) + 1;
  }

  get [Symbol.toStringTag](): string {
    return "DOMException";
  }
}

LEGACY_NAMES.forEach(([, constant], index) => {
  const descriptor = { value: index + 1, enumerable: true };
  defineProperty(DOMException, constant, descriptor);
  defineProperty(DOMException.prototype, constant, descriptor);
});
