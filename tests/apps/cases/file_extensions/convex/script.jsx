/** @jsxRuntime classic @jsx element */
import { query } from "./_generated/server";

const element = (tag, _, text) => `<${tag}>${text}</${tag}>`;

export const name = query({ args: {}, handler: async () => <i>jsx</i> });
