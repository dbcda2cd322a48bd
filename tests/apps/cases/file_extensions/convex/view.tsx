/** @jsxRuntime classic @jsx element */
import { query } from "./_generated/server";

const element = (tag: string, _: unknown, text: string) => `<${tag}>${text}</${tag}>`;

export const name = query({ args: {}, handler: async () => <b>tsx</b> });
