export default { providers: [{ domain: 5 }] };
