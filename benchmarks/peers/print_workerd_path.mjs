// The npm package knows which of its platform packages holds the binary.
import workerd from "workerd";

console.log(workerd.default ?? workerd);
