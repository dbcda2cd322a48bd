"use node";

import { httpRouter } from "convex/server";

export default httpRouter();
