import { defineComponent } from "convex/server";
import two from "../two/convex.config";

const one = defineComponent("one");
one.use(two);
export default one;
