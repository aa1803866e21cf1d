import { answerFaultNames } from '../simulated/fault-switches.ts'
import { testSurvival } from './survival.fixture.ts'

testSurvival(answerFaultNames)
