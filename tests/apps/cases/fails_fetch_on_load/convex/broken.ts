import { query } from "./_generated/server";

const pending = fetch("http://127.0.0.1/");
export const broken = query({ handler: async () => typeof pending });
