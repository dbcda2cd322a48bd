import { httpRouter } from "convex/server";

export const http = httpRouter();
