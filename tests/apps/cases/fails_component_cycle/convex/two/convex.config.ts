import { defineComponent } from "convex/server";
import one from "../one/convex.config";

const two = defineComponent("two");
two.use(one);
export default two;
